"""A package adds a method, a kind of noise and a kernel by entry points."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from undegrade.cli import main
from undegrade.files.picture import write_image
from undegrade.kernels import formulas
from undegrade.likelihoods import noises
from undegrade.restorers import restorers

PACKAGE = '''
"""A foreign package."""

from dataclasses import dataclass, replace

import torch

import undegrade as ud


@dataclass(frozen=True, kw_only=True)
class Brighten:
    """Makes a picture brighter.

    Arguments:
        by: how much.
    """

    by: float = 0.1

    def restore(self, measurement, *, observe=()):
        result = ud.Wiener().restore(measurement, observe=observe)
        return replace(result, x=result.x + self.by)


class Hum(ud.QuadraticNoise):
    """White noise by another name."""

    def __init__(self, loudness):
        super().__init__()
        self.register_buffer("loudness", torch.as_tensor(loudness))

    def sample(self, prediction, generator):
        return prediction + self.loudness * torch.randn(prediction.shape, generator=generator)

    def precision(self, y):
        return (1 / self.loudness.to(y).square()).expand_as(y)

    def stronger(self, factor):
        return Hum(factor * self.loudness)


HUM = ud.Noise(name="hum", kind=Hum, levels=("loudness",), unit="LOUDNESS")


def box(side):
    return torch.full((int(side), int(side)), 1 / side**2)
'''
ENTRY_POINTS = """
[undegrade.restorers]
brighten = foreign_to_undegrade:Brighten
[undegrade.noises]
hum = foreign_to_undegrade:HUM
[undegrade.kernels]
box = foreign_to_undegrade:box
"""


def _install(folder: Path, entry_points: str) -> None:
    """A package and its metadata, as pip leaves them."""
    (folder / "foreign_to_undegrade.py").write_text(PACKAGE)
    metadata = folder / "foreign-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that packages are found in; what they bring is forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(tmp_path)
    tables = restorers, noises, formulas
    for table in tables:
        table.cache_clear()
    yield folder
    for table in tables:
        table.cache_clear()


def test_a_foreign_method_noise_and_kernel(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _install(site, ENTRY_POINTS)
    assert main(["methods"]) == 0
    listed = capsys.readouterr().out
    assert "brighten: Makes a picture brighter.\n    --by 0.1" in listed
    assert "hum:LOUDNESS" in listed
    assert "box:SIDE" in listed

    Path("pictures").mkdir()
    write_image("pictures/one.png", torch.full((1, 3, 24, 24), 0.5))
    call = "benchmark --images pictures --degradations blur=box:3,noise=hum:0.02 --output table"
    assert main([*call.split(), "--methods", "brighten", "brighten,by=0.3"]) == 0
    assert "brighten" in Path("table/means.md").read_text()

    assert main(["degrade", "pictures/one.png", "y.png", "--noise", "hum:0.02"]) == 0
    assert json.loads(Path("y.png.json").read_text())["noise"]["kind"] == "hum"
    assert main(["restore", "y.png", "--method", "wiener", "brighten"]) == 0
    assert Path("restored/y-brighten.png").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[undegrade.restorers]\nwiener = foreign_to_undegrade:Brighten", "a name that is taken"),
        ("[undegrade.restorers]\nnothing = foreign_to_undegrade:Nothing", "cannot be loaded"),
        ("[undegrade.noises]\nhum = foreign_to_undegrade:Hum", "is no Noise"),
        ("[undegrade.kernels]\nbox = foreign_to_undegrade:__doc__", "is no function"),
    ],
)
def test_what_does_not_fit_is_told(
    site: Path, capsys: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    _install(site, line)
    assert main(["methods"]) == 2
    told = capsys.readouterr().err
    assert "the entry point" in told and said in told
    assert told.count("\n") == 1
