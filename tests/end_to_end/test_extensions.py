"""A package adds a method, a kind of noise, a kernel and an operator by entry points."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from undegrade.cli import main
from undegrade.degradations.named_operator import operators
from undegrade.files.picture import read_image, write_image
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


class Mosaic(ud.LinearOperator):
    """Every pixel of a color picture sees one color: (b 3 h w) to (b 1 h w)."""

    def __init__(self, size, phase):
        super().__init__()
        rows, columns = torch.arange(size[0])[:, None], torch.arange(size[1])
        color = (rows + columns + int(phase)) % 3
        self.register_buffer("seen", torch.stack([(color == c).float() for c in range(3)]))

    def forward(self, x):
        return (self.seen.to(x) * x).sum(1, keepdim=True)

    def adjoint(self, y):
        return self.seen.to(y) * y


def mosaic(shape, phase):
    if shape[0] != 3:
        raise ValueError(f"a mosaic is of a color picture, got {shape[0]} channel(s)")
    return Mosaic(shape[1:], phase)


MOSAIC = ud.OperatorKind(build=mosaic, image_shape=lambda measured: (3, *measured[1:]))
'''
ENTRY_POINTS = """
[undegrade.restorers]
brighten = foreign_to_undegrade:Brighten
[undegrade.noises]
hum = foreign_to_undegrade:HUM
[undegrade.kernels]
box = foreign_to_undegrade:box
[undegrade.operators]
mosaic = foreign_to_undegrade:MOSAIC
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
    tables = restorers, noises, formulas, operators
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


def test_a_foreign_operator(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _install(site, ENTRY_POINTS)
    assert main(["methods"]) == 0
    assert "--operator is one of mosaic:PHASE" in capsys.readouterr().out

    Path("pictures").mkdir()
    ramp = torch.linspace(0.1, 0.9, 24)
    colors = torch.stack((ramp, ramp.flip(0), 0.5 * ramp))
    write_image("pictures/one.png", colors[None, :, None].expand(1, 3, 24, 24))
    degrade = ["degrade", "pictures/one.png", "y.png", "--operator", "mosaic:1"]
    assert main([*degrade, "--noise", "gaussian:0.01"]) == 0
    described = json.loads(Path("y.png.json").read_text())
    assert described["operator"] == {"name": "mosaic", "numbers": [1.0]}
    assert read_image("y.png").shape == (1, 1, 24, 24)

    restore = ["restore", "y.png", "--method", "variational", "--reference", "pictures/one.png"]
    assert main(restore) == 0
    by_description = read_image("restored/y-variational.png")
    truth = read_image("pictures/one.png")
    assert by_description.shape == (1, 3, 24, 24)
    assert (by_description - truth).abs().mean() < 0.03
    Path("y.png.json").unlink()
    known = ["--operator", "mosaic:1", "--noise", "gaussian:0.01", "-o", "by_flags"]
    assert main(["restore", "y.png", "--method", "variational", *known]) == 0
    assert torch.equal(read_image("by_flags/y-variational.png"), by_description)

    call = "benchmark --images pictures --degradations operator=mosaic:0,noise=gaussian:0.01"
    assert main([*call.split(), "--methods", "variational", "--output", "table"]) == 0
    assert "mosaic" in Path("table/means.md").read_text()


@pytest.mark.parametrize(
    ("operator", "said"),
    [
        ("mosaik:1", "operator must be one of mosaic, got 'mosaik'; did you mean mosaic?"),
        ("mosaic", "expected the operator mosaic:PHASE, got mosaic"),
        ("mosaic:one", "with a number, got 'mosaic:one'"),
        ("mosaic:1", "a mosaic is of a color picture, got 1 channel(s)"),
    ],
)
def test_an_operator_that_does_not_fit(
    site: Path, capsys: pytest.CaptureFixture[str], operator: str, said: str
) -> None:
    _install(site, ENTRY_POINTS)
    write_image("gray.png", torch.full((1, 1, 24, 24), 0.5))
    assert main(["degrade", "gray.png", "y.png", "--operator", operator]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
    assert not Path("y.png").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[undegrade.restorers]\nwiener = foreign_to_undegrade:Brighten", "a name that is taken"),
        ("[undegrade.restorers]\nnothing = foreign_to_undegrade:Nothing", "cannot be loaded"),
        ("[undegrade.noises]\nhum = foreign_to_undegrade:Hum", "is no Noise"),
        ("[undegrade.kernels]\nbox = foreign_to_undegrade:__doc__", "is no function"),
        ("[undegrade.operators]\nbox = foreign_to_undegrade:box", "is no OperatorKind"),
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
