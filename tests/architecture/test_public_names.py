"""What `import undegrade` offers, and what it costs."""

import ast
import importlib.metadata
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import undegrade

STUB = Path(undegrade.__file__).with_suffix(".pyi")
HEAVY = {
    "beartype", "jinja2", "lightning_fabric", "matplotlib", "numba", "rich", "scipy", "skimage",
    "tifffile", "torchmetrics", "torchvision", "tyro",
}  # fmt: skip


def _loaded(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after a statement."""
    code = f"import sys; {statement}; print(*{{m.partition('.')[0] for m in sys.modules}})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stdout.splitlines()[-1].split())


def test_names_are_sorted_and_each_once() -> None:
    names = [
        (node.module or "", alias.name)
        for node in ast.parse(STUB.read_text("utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert [module for module, _ in names] == sorted(module for module, _ in names)
    assert len({name for _, name in names}) == len(names)
    assert undegrade.__all__ == sorted(name for _, name in names)


@pytest.mark.parametrize("name", undegrade.__all__)
def test_every_name_is_there(name: str) -> None:
    assert vars(undegrade).get(name) is not None or undegrade.__getattr__(name) is not None


def test_what_the_import_loads() -> None:
    """Nothing but what is asked for: no torch until a name needs it."""
    assert not _loaded("import undegrade") & (HEAVY | {"torch", "numpy", "PIL"})


def test_what_all_names_load_beside_torch() -> None:
    """The parts of the library, and none of what only files, tables and pages need."""
    assert not (_loaded("from undegrade import *") - _loaded("import torch")) & HEAVY


@pytest.mark.parametrize("call", ["['--help']", "['--version']", "['nothing']"])
def test_what_the_overview_of_the_commands_loads(call: str) -> None:
    loaded = _loaded(f"from undegrade.cli import main; main({call})")
    assert not loaded & (HEAVY | {"torch", "numpy", "PIL"})


def test_a_misspelt_name_is_told_with_the_nearest() -> None:
    with pytest.raises(AttributeError, match=r"no 'Posson'; did you mean Poisson\?"):
        undegrade.__getattr__("Posson")
    with pytest.raises(AttributeError, match=r"no 'zzz'$"):
        undegrade.__getattr__("zzz")


def test_the_version() -> None:
    assert undegrade.__version__ == importlib.metadata.version("undegrade")


@pytest.mark.parametrize("name", ["Poisson", "Blur", "TotalVariation"])
def test_help_shows_our_words(name: str) -> None:
    """Neither `help` nor completion of a class lists nn.Module; completion of an instance does."""
    page = pydoc.render_doc(undegrade.__getattr__(name), renderer=pydoc.plaintext)
    assert len(page.splitlines()) < 200
    assert "register_forward_hook" not in page
    assert "Arguments:" in page
    assert {"to", "peak"} <= set(dir(undegrade.Poisson(30.0)))
