"""What the README says, runs: its Python as scripts, its command lines as calls."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from undegrade.cli import main
from undegrade.files.picture import write_image

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
SCRIPTS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
CALLS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with a photo, and a folder with two."""
    monkeypatch.chdir(tmp_path)
    x = torch.zeros(1, 3, 40, 52)
    x[..., 10:30, 8:40] = torch.tensor([0.9, 0.5, 0.2]).reshape(1, 3, 1, 1)
    Path("photos").mkdir()
    for name in ("photo.jpg", "photos/one.png", "photos/two.png"):
        write_image(name, x)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_the_python_runs(script: str) -> None:
    """In an interpreter of its own, as a person runs it: without the checks of the tests."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.slow
def test_the_command_lines_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(CALLS) >= 5
    for line in CALLS:
        program, *args = line.split()
        assert program == "undegrade"
        assert main(args) == 0, line
    assert capsys.readouterr().err == ""
    assert {p.name for p in Path("restored").iterdir()} >= {
        "y-wiener.png",
        "y-learned.png",
        "one-learned.png",
    }
    assert Path("table/means.md").exists()
