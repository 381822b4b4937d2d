"""The package keeps the shape that docs/design.md promises."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import undegrade
from undegrade.core.operator import Operator

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "undegrade"
FILES = sorted(SOURCE.rglob("*.py"))
DRAWERS = {"base", "common", "helpers", "lib", "misc", "shared", "tools", "util", "utils"}


def _modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(undegrade.__path__, "undegrade."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def _classes() -> set[type]:
    return {
        c
        for module in _modules()
        for c in vars(module).values()
        if inspect.isclass(c) and c.__module__.startswith("undegrade.")
    }


def _open(c: type) -> bool:
    """Whether a class is there to be subclassed."""
    return inspect.isabstract(c) or vars(c).get("_is_protocol", False)


def _recognized(file: Path) -> set[str]:
    """The operators that a file asks for by their class."""
    known = {c.__name__ for c in _classes() if issubclass(c, Operator)}
    asked = {
        name.id
        for call in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "isinstance"
        for name in ast.walk(call.args[1])
        if isinstance(name, ast.Name)
    }
    return known & asked


def test_operators_are_asked_and_not_recognized() -> None:
    assert _recognized(SOURCE / "core" / "operator.py")  # the algebra of operators knows them
    room = {f for f in FILES if f.parent.name != "operators"} - {SOURCE / "core" / "operator.py"}
    assert {_name(f): found for f in room if (found := _recognized(f))} == {}


def _name(file: Path) -> str:
    return str(file.relative_to(SOURCE))


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_no_file_is_long(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) <= 400


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_no_file_is_a_drawer(file: Path) -> None:
    assert not DRAWERS & {part.strip("_") for part in Path(_name(file)).with_suffix("").parts}


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_no_function_is_long(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if body:
                length = (body[-1].end_lineno or 0) - body[0].lineno + 1
                assert length <= 40, f"{node.name} has {length} lines"


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_nothing_is_printed_probed_or_seeded(file: Path) -> None:
    """Nothing prints, seeds the caller's generator, probes for attributes, or takes **kwargs."""
    tree = ast.parse(file.read_text("utf-8"))
    forked = {
        call
        for node in ast.walk(tree)
        if isinstance(node, ast.With) and "fork_rng" in ast.unparse(node.items[0].context_expr)
        for call in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node not in forked:
            name = ast.unparse(node.func)
            assert name not in {"print", "hasattr", "torch.manual_seed", "np.random.seed"}, name
        if isinstance(node, ast.FunctionDef):
            assert node.args.kwarg is None, f"{node.name} takes **{node.args.kwarg.arg}"


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_public_things_say_what_they_are(file: Path) -> None:
    tree = ast.parse(file.read_text("utf-8"))
    assert ast.get_docstring(tree) or not tree.body
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            overload = any(ast.unparse(d) == "overload" for d in node.decorator_list)
            assert overload or ast.get_docstring(node), f"{node.name} says nothing"


def test_a_class_is_abstract_or_final() -> None:
    extended = {
        f"{c.__qualname__} extends {parent.__qualname__}"
        for c in _classes()
        for parent in c.__mro__[1:]
        if parent.__module__.startswith("undegrade.") and not _open(parent)
    }
    assert not extended


def test_the_abstract_lives_in_the_core() -> None:
    assert {c.__module__.split(".")[1] for c in _classes() if inspect.isabstract(c)} == {"core"}


def test_who_may_import_whom() -> None:
    ran = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-2000:]


def _rooms() -> dict[str, list[Path]]:
    names = {f.relative_to(SOURCE).parts[0] for f in FILES if f.parent != SOURCE}
    return {room: [f for f in FILES if f.is_relative_to(SOURCE / room)] for room in names}


def test_the_table_of_rooms_says_who_imports_whom() -> None:
    rows = re.findall(
        r"^\|[^|]*\| `(\w+)` \| \d+ % \|([^|]*)\|$",
        (ROOT / "docs" / "design.md").read_text("utf-8"),
        flags=re.MULTILINE,
    )
    said = {room: set(imports.split()) for room, imports in rows}
    rooms = _rooms()
    true = {
        room: {
            parts[1]
            for file in files
            for node in ast.walk(ast.parse(file.read_text("utf-8")))
            if isinstance(node, ast.ImportFrom) and node.module
            if (parts := node.module.split("."))[0] == "undegrade" and parts[1:2] != [room]
            if parts[1] in rooms
        }
        for room, files in rooms.items()
    }
    assert said == true


def test_no_room_is_too_large() -> None:
    lines = {
        room: sum(len(f.read_text("utf-8").splitlines()) for f in files)
        for room, files in _rooms().items()
    }
    assert max(lines.values()) <= 0.12 * sum(lines.values())
    assert lines["core"] <= 0.08 * sum(lines.values())
