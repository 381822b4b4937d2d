"""A small picture in a folder of its own, and the command line within this process."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from undegrade.cli import main
from undegrade.files.picture import write_image

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; it has a.png, 24×30 in color."""
    monkeypatch.chdir(tmp_path)
    write_image("a.png", scene(24, 30))
    return tmp_path


def scene(height: int, width: int, channels: int = 3) -> torch.Tensor:
    """Edges and a ramp."""
    rows = torch.linspace(0.1, 0.9, height)[:, None]
    x = torch.stack([rows.expand(height, width), rows.flip(0).expand(height, width)])
    x = torch.cat((x, x.mean(0, keepdim=True)))[:channels].clone()
    x[:, height // 4 : height // 2, width // 3 : width // 2] = 0.85
    x[:, height // 2 :, width // 2 :] *= 0.4
    return x[None]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """A command line; returns the exit status and what was written to the two streams."""

    def call(*line: str) -> tuple[int, str, str]:
        args = [word for part in line for word in part.split()]
        capsys.readouterr()
        try:
            status = main(args)
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call
