import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.cases import uniform
from undegrade.core.measurement import Measurement
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.laplace import Laplace
from undegrade.likelihoods.salt_and_pepper import SaltAndPepper
from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample
from undegrade.operators.identity import Identity
from undegrade.operators.mask import Mask
from undegrade.restorers.architecture import (
    Design,
    GatedDesign,
    MultiscaleDesign,
    ResidualDesign,
    SplittingDesign,
    design_from_json,
    design_to_json,
)
from undegrade.restorers.initial import first_estimate
from undegrade.restorers.recurrent_inference import WEIGHTS, RecurrentInference, shipped
from undegrade.restorers.weight_file import load_weights, save_weights

SMALL = MultiscaleDesign(widths=(4, 6), middle=1)
SPLIT = SplittingDesign(widths=(4, 6), middle=1, steps=3)


def untrained(design: Design, path: Path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        rim = design.build()
        for p in rim.parameters():
            torch.nn.init.normal_(p, std=0.1)
    save_weights(path, rim, design, {"data": "none"})
    return path


@pytest.fixture
def weights(tmp_path):
    return untrained(SMALL, tmp_path / "small.safetensors")


def photograph(h: int = 48, w: int = 40, c: int = 3) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    x = 0.5 + 0.3 * torch.sin(rows / 7) * torch.cos(columns / 9)
    x = torch.where(rows + columns > 44, x, 1 - x)
    return torch.stack([x, 0.9 * x, 0.5 + 0.3 * x][:c])[None].float()


PSF = torch.full((5, 5), 0.04)
GENERATOR = 0


def measured(operator, x, std=0.05):
    likelihood = Gaussian(std)
    y = likelihood.sample(operator(x), torch.Generator().manual_seed(GENERATOR))
    return Measurement(y, operator, likelihood)


OPERATORS = {
    "noise": Identity(),
    "blur": Blur(PSF, "replicate"),
    "valid": Blur(PSF, "valid"),
    "resolution": Downsample(2) @ Blur(PSF, "periodic"),
    "missing": Mask(uniform(48, 40) > 0.5),
}


@pytest.mark.parametrize("design", [SMALL, SPLIT], ids=["preconditioned", "splitting"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OPERATORS)
def test_every_degradation_goes_through(tmp_path, design, name, channels):
    weights = untrained(design, tmp_path / "small.safetensors")
    x = photograph(c=channels)
    m = measured(OPERATORS[name], x)
    trace = []
    result = RecurrentInference(weights=weights).restore(
        m, observe=[lambda i, s: trace.append(i) or {"residual": s.residual}]
    )
    assert result.x.shape == x.shape
    assert result.iterations == (design.steps,)
    assert trace == list(range(1, design.steps + 1))
    assert result.x.min() >= 0
    assert result.x.max() <= 1


def test_other_steps_are_those_of_a_machine_built_for_them(tmp_path):
    m = measured(OPERATORS["blur"], photograph())
    weights = untrained(SPLIT, tmp_path / "three.safetensors")
    other = untrained(dataclasses.replace(SPLIT, steps=5), tmp_path / "five.safetensors")
    result = RecurrentInference(weights=weights, steps=5).restore(m)
    assert result.iterations == (5,)
    assert torch.equal(result.x, RecurrentInference(weights=other).restore(m).x)


def test_double_precision_is_kept_and_the_machine_is_not_changed(weights):
    m = measured(Identity(), photograph().double())
    first = RecurrentInference(weights=weights).restore(m).x
    assert first.dtype == torch.float64
    single = measured(Identity(), photograph())
    assert RecurrentInference(weights=weights).restore(single).x.dtype == torch.float32
    torch.testing.assert_close(RecurrentInference(weights=weights).restore(m).x, first)


def test_tiles_leave_no_seams(weights):
    m = measured(Blur(PSF, "replicate"), photograph(200, 150))
    whole = RecurrentInference(weights=weights, tile=4096).restore(m).x
    tiled = RecurrentInference(weights=weights, tile=32).restore(m).x
    assert (whole - tiled).abs().max() < 1e-5


@pytest.mark.parametrize("tile", [0, -8])
def test_tiles_of_no_pixel_are_refused(weights, tile):
    restorer = RecurrentInference(weights=weights, tile=tile)
    with pytest.raises(ValueError, match=f"tiles of at least one pixel, got a side of {tile}"):
        restorer.restore(measured(Identity(), photograph()))


def test_salt_and_pepper_starts_from_filled_holes(weights):
    x, likelihood = 0.2 + 0.6 * photograph(), SaltAndPepper(0.5)
    y = likelihood.sample(x, torch.Generator().manual_seed(1))
    m = Measurement(y, Identity(), likelihood)
    assert (first_estimate(m) - x).abs().mean() < 0.3 * (y - x).abs().mean()
    assert RecurrentInference(weights=weights).restore(m).x.shape == x.shape


@pytest.mark.parametrize(
    "design",
    [SMALL, SPLIT, ResidualDesign(width=8), GatedDesign(steps=3, margin=0.1)],
    ids=["multiscale", "splitting", "residual", "gated"],
)
def test_designs_survive_being_written_down(design):
    assert design_from_json(design_to_json(design)) == design


@pytest.mark.parametrize("text", ["", "{}", '{"design": "none"}', '{"design": "gated", "x": 1}'])
def test_other_settings_are_refused(text):
    with pytest.raises(ValueError, match="not the settings"):
        design_from_json(text)


def test_weights_are_read_as_they_were_written(weights):
    rim, design, about = load_weights(weights)
    assert design == SMALL
    assert about["data"] == "none"
    assert about["convention"].startswith("images in [0, 1]")
    written = load_file(weights)
    assert all(torch.equal(t, written[name]) for name, t in rim.state_dict().items())


def spoiled(weights: Path, harm: str) -> Path:
    tensors = load_file(weights)
    with safe_open(weights, "pt") as file:
        about = dict(file.metadata())
    path = weights.with_name("spoiled.safetensors")
    name = "cell.enter.bias"
    if harm == "foreign":
        save_file({"layer": torch.ones(2)}, path)
    elif harm == "other values":
        save_file({**tensors, name: tensors[name] + 1}, path, about)
    elif harm == "other convention":
        save_file(tensors, path, {**about, "convention": "images in [-1, 1]"})
    elif harm == "other machine":
        fields = json.loads(about["design"])
        fields["middle"] = 2
        save_file(tensors, path, {**about, "design": json.dumps(fields)})
    elif harm == "truncated":
        path.write_bytes(weights.read_bytes()[:-10])
    elif harm == "text":
        path.write_text("these are no weights")
    return path


@pytest.mark.parametrize(
    ("harm", "complaint"),
    [
        ("foreign", "holds no weights"),
        ("other values", "is damaged"),
        ("other convention", "holds no weights"),
        ("other machine", "do not fit the machine"),
        ("truncated", "is not a readable file of weights"),
        ("text", "is not a readable file of weights"),
        ("absent", "is not a readable file of weights"),
    ],
)
def test_wrong_weights_are_refused_in_one_line(weights, harm, complaint):
    path = spoiled(weights, harm)
    restorer = RecurrentInference(weights=path)
    with pytest.raises(ValueError, match=complaint) as raised:
        restorer.restore(measured(Identity(), photograph()))
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)


def test_new_weights_under_an_old_name_are_noticed(weights):
    m = measured(Identity(), photograph())
    before = RecurrentInference(weights=weights).restore(m).x
    rim, design, _ = load_weights(weights)
    torch.nn.init.zeros_(rim.cell.leave.weight)
    save_weights(weights, rim, design, {})
    assert not torch.equal(before, RecurrentInference(weights=weights).restore(m).x)


def test_the_restorer_is_settings():
    assert dataclasses.replace(RecurrentInference(), steps=1).steps == 1


@pytest.mark.parametrize(
    ("operator", "likelihood", "name"),
    [
        (Identity(), Gaussian(0.1), "denoising"),
        (Identity(), Laplace(0.1), "denoising"),
        (Identity(), SaltAndPepper(0.1), "universal"),
        (Blur(PSF), Gaussian(0.1), "universal"),
    ],
)
def test_noise_alone_has_weights_of_its_own(operator, likelihood, name):
    m = Measurement(photograph(96, 96), operator, likelihood)
    assert shipped(m) == WEIGHTS / f"{name}.safetensors"
    chosen = RecurrentInference(weights=shipped(m)).restore(m).x
    assert torch.equal(RecurrentInference().restore(m).x, chosen)


def test_shipped_weights_are_small_and_restore():
    for path in WEIGHTS.glob("*.safetensors"):
        assert path.stat().st_size <= 4_000_000
        rim, _, about = load_weights(path)
        assert sum(p.numel() for p in rim.parameters()) <= 1_000_000
        assert {"data", "training", "sha256"} <= about.keys()
    x = photograph(96, 96)
    m = measured(Identity(), x, 0.1)
    error = (RecurrentInference().restore(m).x - x).square().mean()
    assert error < 0.15 * (m.y - x).square().mean()
