import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from skimage import data

from tests.cases import uniform
from undegrade.core.measurement import Measurement
from undegrade.kernels.formulas import gaussian_psf, motion_psf
from undegrade.learned import autocast_cell
from undegrade.learned.rim import RIM
from undegrade.learned.schedule import ListedErrors
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.laplace import Laplace
from undegrade.likelihoods.poisson import Poisson
from undegrade.likelihoods.salt_and_pepper import SaltAndPepper
from undegrade.machines.architecture import (
    ARCHITECTURES,
    Architecture,
    architecture_from_json,
    architecture_to_json,
)
from undegrade.machines.weight_file import digest, load_weights, save_weights
from undegrade.machines.weight_format_1 import read_design
from undegrade.machines.windows import interior_of
from undegrade.metrics.distortion import psnr
from undegrade.metrics.luma import gray
from undegrade.networks.gated_cell import GatedSettings
from undegrade.networks.multiscale_cell import MultiscaleSettings
from undegrade.networks.residual_cell import ResidualSettings
from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample
from undegrade.operators.equal_channels import FirstChannel, Repeated
from undegrade.operators.identity import Identity
from undegrade.operators.mask import Mask
from undegrade.operators.padding import Boundary
from undegrade.operators.response import Response
from undegrade.operators.response_curves import SRGB
from undegrade.operators.turn import TURNS, Turn
from undegrade.parametrizations.pointwise import Affine
from undegrade.restorers.initial import first_estimate
from undegrade.restorers.recurrent_inference import (
    DENOISING,
    UNIVERSAL,
    WEIGHTS,
    RecurrentInference,
    restored_by,
    shipped,
)
from undegrade.restorers.shared_noise import one_of

CELL = MultiscaleSettings(widths=(4, 6), middle=1)
SMALL = dataclasses.replace(ARCHITECTURES["denoising"], cell=CELL, steps=2)
SPLIT = dataclasses.replace(ARCHITECTURES["universal"], cell=CELL, steps=3)
DAMPED = dataclasses.replace(ARCHITECTURES["gauss-newton"], cell=CELL, steps=3)


def untrained(architecture: Architecture, path: Path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        rim = architecture.build()
        for p in rim.parameters():
            torch.nn.init.normal_(p, std=0.1)
    save_weights(path, rim, architecture, {"data": "none"})
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


@pytest.mark.parametrize("machine", [SMALL, SPLIT, DAMPED], ids=["denoising", "universal", "gn"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OPERATORS)
def test_every_degradation_goes_through(tmp_path, machine, name, channels):
    weights = untrained(machine, tmp_path / "small.safetensors")
    x = photograph(c=channels)
    m = measured(OPERATORS[name], x)
    trace = []
    result = RecurrentInference(weights=weights).restore(
        m, observe=[lambda i, s: trace.append(i) or {"residual": s.residual}]
    )
    assert result.x.shape == x.shape
    assert result.iterations == (machine.steps,)
    assert trace == list(range(1, machine.steps + 1))
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
    with pytest.raises(ValueError, match=f"tile must be from 32 to 100000, got {tile}"):
        RecurrentInference(weights=weights, tile=tile)


def test_salt_and_pepper_starts_from_filled_holes(weights):
    x, likelihood = 0.2 + 0.6 * photograph(), SaltAndPepper(0.5)
    y = likelihood.sample(x, torch.Generator().manual_seed(1))
    m = Measurement(y, Identity(), likelihood)
    assert (first_estimate(m) - x).abs().mean() < 0.3 * (y - x).abs().mean()
    assert RecurrentInference(weights=weights).restore(m).x.shape == x.shape


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_survive_being_written_down(name):
    cells = (CELL, ResidualSettings(width=8), GatedSettings(state_width=3))
    for cell in cells:
        machine = dataclasses.replace(ARCHITECTURES[name], cell=cell, steps=3)
        assert architecture_from_json(architecture_to_json(machine)) == machine


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not the settings"),
        ("[" * 100_000, "not the settings"),
        ("[3]", "expected settings by name, got \\[3\\]"),
        ('{"stairs": 1}', "no setting 'stairs'"),
        ('{"steps": null}', "expected a whole number for steps, got None"),
        ('{"steps": true}', "expected a whole number for steps, got True"),
        ('{"steps": 0}', "one step or more, got 3 and 0"),
        ('{"cell": 3}', "known kind for cell, got 3"),
        ('{"cell": {"kind": "affine"}}', "known kind for cell, got"),
        ('{"cell": {"kind": "multiscale", "widths": 3}}', "list of numbers for cell.widths, got 3"),
        ('{"cell": {"kind": "multiscale", "widths": [[3]]}}', "whole number for cell.widths"),
        ('{"cell": {"kind": "multiscale", "widths": [-3, 4]}}', "expected widths above 0"),
        ('{"features": {"kind": "least squares", "floor": "x"}}', "finite number for features.fl"),
        ('{"features": {"kind": "least squares", "floor": NaN}}', "finite number for features.fl"),
        ('{"features": {"kind": "least squares", "base": "y"}}', "one of x, z for features.base"),
        (
            '{"features": {"kind": "least squares", "schedule": {"kind": "listed", "values": []}}}',
            "errors above 0",
        ),
    ],
)
def test_other_settings_are_refused_in_one_line(text, complaint):
    with pytest.raises(ValueError, match=complaint) as raised:
        architecture_from_json(text)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 200


FORMAT_1 = {
    "multiscale": ({"widths": [4, 6], "middle": 1, "inner": 5, "errors": [0.1, 0.2]}, 2),
    "splitting": ({"widths": [4, 6], "middle": 1, "first": 0.2, "last": 0.02, "steps": 3}, 3),
    "residual": ({"width": 4, "blocks": 1, "differentiable": False}, 10),
    "gated": ({"width": 4, "state_width": 3, "margin": 0.1}, 20),
}


@pytest.mark.parametrize("name", FORMAT_1)
def test_weights_of_format_1_are_read(tmp_path, name):
    """What was shown as (σ, τ) is shown as (τ, σ): the cell's update stays what it was."""
    fields, steps = FORMAT_1[name]
    machine = read_design(json.dumps({"design": name, **fields}))
    assert machine.steps == steps
    with torch.random.fork_rng():
        torch.manual_seed(0)
        rim = machine.build()
        torch.nn.init.normal_(next(iter(rim.cell.parameters())), std=0.1)
    old = {k.replace("features.", "evidence.", 1): t for k, t in rim.state_dict().items()}
    if name == "multiscale":
        order = [*range(48), *range(52, 56), *range(48, 52), *range(56, 60)]
        old["cell.enter.weight"] = old["cell.enter.weight"][:, order].contiguous()
    metadata = {
        "format": "undegrade recurrent inference machine 1",
        "convention": "images in [0, 1]; evidence in image units; noise as standard deviation",
        "design": json.dumps({"design": name, **fields}),
        "sha256": digest(old),
    }
    save_file(old, tmp_path / "old.safetensors", metadata)
    read, architecture, _ = load_weights(tmp_path / "old.safetensors")
    assert architecture == machine
    assert all(torch.equal(t, read.state_dict()[k]) for k, t in rim.state_dict().items())


def test_the_fields_of_format_1_stand_where_they_belong():
    machine = read_design(json.dumps({"design": "multiscale", **FORMAT_1["multiscale"][0]}))
    assert machine == dataclasses.replace(
        SMALL,
        features=dataclasses.replace(
            ARCHITECTURES["denoising"].features,
            cg_iterations=5,
            schedule=ListedErrors((0.1, 0.2)),
        ),
    )


@pytest.mark.parametrize(
    "text", ["", "[]", '{"design": "none"}', '{"design": "gated", "x": 1}', '{"design": ["gated"]}']
)
def test_other_designs_of_format_1_are_refused(text):
    with pytest.raises(ValueError, match="not the settings"):
        read_design(text)


def test_weights_are_read_as_they_were_written(weights):
    rim, architecture, about = load_weights(weights)
    assert architecture == SMALL
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
        fields = json.loads(about["architecture"])
        fields["cell"]["middle"] = 2
        save_file(tensors, path, {**about, "architecture": json.dumps(fields)})
    elif harm == "huge machine":
        fields = json.loads(about["architecture"])
        fields["cell"]["widths"] = [10**6, 10**6]
        save_file(tensors, path, {**about, "architecture": json.dumps(fields)})
    elif harm == "other settings":
        save_file(tensors, path, {**about, "architecture": '{"steps": null}'})
    elif harm == "no settings":
        save_file(tensors, path, {k: v for k, v in about.items() if k != "architecture"})
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
        ("huge machine", "do not fit the machine"),
        ("other settings", "are of no machine.*expected a whole number for steps, got None"),
        ("no settings", "are of no machine"),
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
    rim, architecture, _ = load_weights(weights)
    torch.nn.init.zeros_(rim.cell.leave.weight)
    save_weights(weights, rim, architecture, {})
    assert not torch.equal(before, RecurrentInference(weights=weights).restore(m).x)


class Upward:
    """A cell that leaves the measurement behind."""

    def __call__(self, features, hidden):
        del hidden
        return torch.full_like(features[:, :3], 0.3), features[:, :0]


class Rippling:
    """A cell that knows the truth, and adds a checkerboard to it."""

    def __init__(self, x):
        h, w = x.shape[-2:]
        self.x = x + 0.03 * (-1.0) ** (torch.arange(h)[:, None] + torch.arange(w))

    def __call__(self, features, hidden):
        del hidden
        return self.x - features[:, :3], features[:, :0]


def test_the_last_estimate_is_moved_into_the_band_of_the_measurement():
    m = measured(Identity(), 0.3 * photograph(), 0.01)
    rim = RIM(Upward(), ARCHITECTURES["denoising"].features.build(), Affine(), steps=2)
    result = restored_by(rim, m)
    assert (result.state.x - m.y).abs().max() > 0.5
    assert (result.x - m.y).abs().max() < 0.1


def face() -> torch.Tensor:
    """A piece of a photograph that is sharper and grainier than those of the training."""
    pixels = torch.from_numpy(data.astronaut()[20:100, 180:260].copy())
    return pixels.permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("std", [0.0004, 0.002, 0.004])
def test_little_noise_is_not_made_more(std):
    """1 to 10 dB less than measured would be, were the network's last estimate taken as it is."""
    x = face()
    m = measured(Identity(), x, std)
    result = RecurrentInference().restore(m)
    assert psnr(result.state.x, x) < psnr(m.y, x) - 1
    assert psnr(result.x, x) > psnr(m.y, x) - 0.05


@pytest.mark.parametrize("kind", ["denoising", "denoising-gray"])
@pytest.mark.parametrize("std", [0.002, 0.004, 0.008, 0.02])
def test_noise_weaker_than_grain_leaves_no_picture_below_its_input(std, kind):
    """Half of what was taken for noise is the picture's own, which the residual alone hides."""
    grain = torch.randn(1, 3, 80, 80, generator=torch.Generator().manual_seed(7))
    x = (face() + 0.015 * grain).clamp(0, 1)
    x = gray(x) if kind.endswith("gray") else x
    m = measured(Identity(), x, std)
    assert psnr(RecurrentInference().restore(m).x, x) > psnr(m.y, x)


def test_little_noise_behind_a_slight_blur_is_not_made_more():
    x = face()
    m = measured(Blur(gaussian_psf(0.4, 5), "periodic"), x, 0.002)
    result = RecurrentInference().restore(m)
    assert psnr(result.x, x) > max(psnr(m.y, x), psnr(result.state.x, x)) + 4


def test_a_network_that_goes_astray_is_not_believed():
    """Its errors have nothing to do with the noise: the mean square is below that of either."""
    x, std = photograph().clamp(0.1, 0.9), 0.02
    m = measured(Identity(), x, std)
    rim = RIM(Rippling(x), ARCHITECTURES["denoising"].features.build(), Affine(), steps=1)
    result = restored_by(rim, m)
    errors = [float((z - x).square().mean()) for z in (m.y, result.state.x, result.x)]
    assert errors[1] > errors[0]
    assert errors[2] < 0.9 * errors[0]


def test_in_the_middle_of_a_hole_the_network_is_all_there_is():
    x = face().clamp(0.1, 0.9)
    kept = torch.ones(80, 80, dtype=torch.bool)
    kept[20:64, 20:64] = False
    m = measured(Mask(kept), x, 0.02)
    rim = RIM(Rippling(x), ARCHITECTURES["denoising"].features.build(), Affine(), steps=1)
    result = restored_by(rim, m)
    before, after = ((z - x).square().mean(1) for z in (result.state.x, result.x))
    assert after[:, kept].mean() < 0.6 * before[:, kept].mean()
    torch.testing.assert_close(after[:, ~kept], before[:, ~kept])


@pytest.mark.parametrize("name", ["noise", "blur"])
def test_bfloat16_is_near_single_precision(name):
    x = face()
    m = measured(OPERATORS[name], x, 0.1 if name == "noise" else 0.01)
    single, lower = (
        RecurrentInference(precision=precision).restore(m).x
        for precision in ("float32", "bfloat16")
    )
    assert single.dtype == lower.dtype == torch.float32
    assert not torch.equal(single, lower)
    assert (psnr(single, x) - psnr(lower, x)).abs() < 0.03


def test_the_device_decides_on_the_precision(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda", 0)
    for words, capability, expected in (
        ({"avx2"}, (7, 5), torch.float32),
        ({"avx2", "amx_bf16"}, (8, 0), torch.bfloat16),
        ({"GenuineIntel", "avx512_bf16"}, (7, 5), torch.float32),
        ({"AuthenticAMD", "avx512_bf16"}, (9, 0), torch.bfloat16),
        ({"AuthenticAMD", "avx2"}, (6, 1), torch.float32),
    ):
        monkeypatch.setattr(autocast_cell, "_cpu_words", lambda words=words: words)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, c=capability: c)
        assert autocast_cell.computing_dtype("auto", cpu) is expected
        assert autocast_cell.computing_dtype("auto", cuda) is expected
        assert autocast_cell.computing_dtype("float32", cpu) is torch.float32
        assert autocast_cell.computing_dtype("bfloat16", cpu) is torch.bfloat16


def test_double_precision_is_never_lowered(weights):
    m = measured(OPERATORS["blur"], photograph().double())
    full, lower = (
        RecurrentInference(weights=weights, precision=precision).restore(m).x
        for precision in ("float32", "bfloat16")
    )
    assert torch.equal(full, lower)


@pytest.mark.parametrize("count", [2, 4, 8])
def test_an_ensemble_is_the_mean_over_turned_measurements(weights, count):
    """Kernel and measurement turned in the open give what the operator turned in passing gives."""
    psf = uniform(5, 5, seed=2).float()
    psf[2, 2] += 4  # conditioned well: iterations that stop early differ in the open and in passing
    m = measured(Blur(psf / psf.sum(), "replicate"), photograph())
    restorer = RecurrentInference(weights=weights)
    mean = torch.zeros_like(m.y)
    for turn in TURNS[:count]:
        blur = Blur(turn.adjoint(psf[None, None] / psf.sum())[0, 0], "replicate")
        turned = Measurement(turn.adjoint(m.y), blur, m.likelihood)
        mean = mean + turn(restorer.restore(turned).x) / count
    result = dataclasses.replace(restorer, ensemble=count).restore(m)
    torch.testing.assert_close(result.x, mean, rtol=1e-4, atol=1e-4)
    assert (result.x - restorer.restore(m).x).abs().max() > 1e-3


@pytest.mark.parametrize("name", OPERATORS)
def test_a_full_ensemble_is_equivariant(weights, name):
    """A mask, a decimation or borders that are cut: whatever the operator is, it is turned."""
    x, turn = photograph(), Turn(rows=True, transposed=True)
    restorer = RecurrentInference(weights=weights, ensemble=8)
    m = measured(OPERATORS[name], x)
    there = dataclasses.replace(m, operator=m.operator @ turn)
    whole = turn(restorer.restore(there).x)
    torch.testing.assert_close(whole, restorer.restore(m).x, rtol=1e-4, atol=1e-4)


def test_an_ensemble_is_better():
    x = photograph(64, 48)
    m = measured(Identity(), x, 0.1)
    one, four = (psnr(RecurrentInference(ensemble=n).restore(m).x, x) for n in (1, 4))
    assert four > one


def test_the_restorer_is_settings():
    assert dataclasses.replace(RecurrentInference(), steps=1).steps == 1


@pytest.mark.parametrize(
    ("operator", "likelihood", "name"),
    [
        (Identity(), Gaussian(0.1), "denoising"),
        (Identity(), Laplace(0.1), "denoising"),
        (Identity(), SaltAndPepper(0.1), "universal"),
        (Blur(PSF, "reflect"), Gaussian(0.1), "universal"),
    ],
)
def test_noise_alone_has_weights_of_its_own(operator, likelihood, name):
    y = likelihood.sample(photograph(96, 96), torch.Generator().manual_seed(0))
    m = Measurement(y, operator, likelihood)
    assert shipped(m) == WEIGHTS / f"{name}.safetensors"
    chosen = RecurrentInference(weights=shipped(m)).restore(m).x
    assert torch.equal(RecurrentInference().restore(m).x, chosen)


def test_a_gray_picture_has_weights_of_its_own_however_it_is_stored():
    m = measured(Identity(), photograph(96, 96, 1), 0.1)
    assert shipped(m) == WEIGHTS / f"{DENOISING}-gray.safetensors"
    seen = list[torch.Size]()

    def watch(iteration: int, state: Any) -> dict[str, torch.Tensor]:
        del iteration
        seen.append(state.x.shape)
        return {"first": state.x[:, 0].mean((1, 2))}

    one = RecurrentInference().restore(m)
    thrice = dataclasses.replace(m, y=m.y.expand(1, 3, 96, 96))
    three = RecurrentInference().restore(thrice, observe=[watch])
    assert torch.equal(three.x, one.x.expand_as(thrice.y))
    assert three.x0.shape == thrice.y.shape
    assert seen == [thrice.y.shape] * len(seen)
    assert len(seen) == len(three.trace) > 0
    x = photograph(96, 96, 1)
    assert psnr(one.x, x) > psnr(m.y, x) + 10


@pytest.mark.parametrize(
    "operator",
    [
        Blur(torch.full((5, 5), 1 / 25), "reflect"),
        Downsample(2) @ Blur(torch.full((3, 3), 1 / 9), "periodic"),
        Response(SRGB()) @ Blur(torch.full((3, 3), 1 / 9), "valid") @ Response(SRGB()).inverse,
    ],
    ids=["blur", "low resolution", "a response"],
)
def test_a_gray_picture_behind_an_operator_is_restored_alike_however_it_is_stored(operator):
    m = measured(operator, photograph(96, 96, 1), 0.01)
    assert m.operator.linear or shipped(m) == WEIGHTS / f"{UNIVERSAL}-gray.safetensors"
    thrice = dataclasses.replace(m, y=m.y.expand(-1, 3, -1, -1))
    restorer = RecurrentInference(precision="float32")
    one, three = restorer.restore(m).x, restorer.restore(thrice).x
    torch.testing.assert_close(three, one.expand_as(three), atol=1e-4, rtol=0)
    x = photograph(96, 96, 1)
    assert psnr(one, x) > psnr(operator.initial(m.y), x) + 1


@pytest.mark.parametrize("channels", [1, 3])
def test_what_replicate_guesses_past_the_border_is_not_used(channels):
    x, psf = photograph(96, 80, channels), motion_psf(9.0, 30.0)
    m = measured(Blur(psf, "replicate"), x, 0.01)
    seen = list[torch.Size]()

    def watch(iteration: int, state: Any) -> dict[str, torch.Tensor]:
        seen.append(state.x.shape)
        return {"first": state.x[:, 0].mean((1, 2)) * iteration}

    found = RecurrentInference().restore(m, observe=[watch])
    larger = RecurrentInference().restore(dataclasses.replace(m, operator=Blur(psf, "valid"))).x
    top, left = ((n - k) // 2 for n, k in zip(larger.shape[-2:], x.shape[-2:], strict=True))
    assert torch.equal(found.x, larger[..., top : top + 96, left : left + 80])
    assert found.state.x.shape == found.x0.shape == x.shape
    assert seen == [x.shape] * len(seen)


def test_equal_channels_of_which_one_is_blurred_more_are_not_taken_for_one():
    psf = torch.zeros(3, 5, 5)
    psf[0, 2, 2] = psf[1, 2, 2] = 1
    psf[2] = 1 / 25
    y = photograph(64, 64, 1).expand(1, 3, 64, 64)
    m = Measurement(y, Blur(psf, "reflect"), Gaussian(0.01))
    assert one_of(m) is None
    assert one_of(dataclasses.replace(m, operator=Blur(psf[2], "reflect"))) is not None


def test_a_faint_color_is_not_taken_for_gray():
    x = 0.002 * photograph(96, 96)
    m = measured(Identity(), x, 0.0001)
    assert psnr(500 * RecurrentInference().restore(m).x, 500 * x) > psnr(500 * m.y, 500 * x) + 3


def test_shipped_weights_are_small_and_restore():
    names = (kind + gray for kind in (DENOISING, UNIVERSAL) for gray in ("", "-gray"))
    for path in (WEIGHTS / f"{name}.safetensors" for name in names):
        assert path.stat().st_size <= 4_000_000
        rim, _, about = load_weights(path)
        assert sum(p.numel() for p in rim.parameters()) <= 2_000_000
        assert {"data", "training", "sha256"} <= about.keys()
    x = photograph(96, 96)
    m = measured(Identity(), x, 0.1)
    error = (RecurrentInference().restore(m).x - x).square().mean()
    assert error < 0.15 * (m.y - x).square().mean()


@pytest.mark.parametrize("likelihood", [Gaussian(0.1), Gaussian(0.01), Laplace(0.05)], ids=repr)
def test_windows_of_a_noisy_picture_give_what_the_whole_gives(likelihood) -> None:
    generator = torch.Generator().manual_seed(0)
    blocks = torch.rand(1, 3, 35, 3, generator=generator)
    y = likelihood.sample(blocks.repeat_interleave(20, 2).repeat_interleave(20, 3), generator)
    measurement, watched = Measurement(y, Identity(), likelihood), list[tuple[int, torch.Size]]()

    def watch(iteration: int, state: Any) -> dict[str, torch.Tensor]:
        watched.append((iteration, state.x.shape))
        return {"mean": state.x.mean((1, 2, 3))}

    whole = RecurrentInference(tile=2000, precision="float32").restore(measurement)
    method = RecurrentInference(tile=128, precision="float32")
    parts = method.restore(measurement, observe=[watch])
    torch.testing.assert_close(parts.x, whole.x, rtol=0, atol=1e-5)
    assert watched == [(k, y.shape) for k in range(1, 5)]  # 700×60 in windows of 128
    assert [record.iteration for record in parts.trace] == [1, 2, 3, 4]
    assert parts.x0 is not None and parts.x0.shape == y.shape


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("boundary", ["replicate", "valid"])
def test_windows_of_a_blurred_picture_show_no_seams(boundary: Boundary, channels: int) -> None:
    x = photograph(240, 300).mean(1, keepdim=True) if channels == 1 else photograph(240, 300)
    blur, noise = Blur(motion_psf(5.0, 30.0), boundary), Gaussian(0.02)
    y = noise.sample(blur(x), torch.Generator().manual_seed(0))
    measurement = Measurement(y, blur, noise)
    whole = RecurrentInference(tile=2000, precision="float32").restore(measurement).x
    parts = RecurrentInference(tile=96, precision="float32").restore(measurement).x
    assert parts.shape == x.shape
    assert psnr(parts, x) > psnr(whole, x) - 0.1
    off = torch.nn.functional.avg_pool2d(parts - whole, 12)  # means of what lies beside a seam
    assert off.abs().max() < 1 / 255
    assert (parts - whole).square().mean().sqrt() < 1.5 / 255


def test_damping_that_looks_at_the_whole_residual_is_not_predicted_in_windows(tmp_path) -> None:
    weights = untrained(DAMPED, tmp_path / "damped.safetensors")
    x = photograph(80, 90)
    x[..., 40:, :] = 0.5  # windows here would see another residual than there
    m = measured(Identity(), x)
    whole = RecurrentInference(weights=weights, tile=2000).restore(m)
    parts = RecurrentInference(weights=weights, tile=32).restore(m)
    assert len(parts.trace) == 3  # steps, not windows
    torch.testing.assert_close(parts.x, whole.x, rtol=0, atol=1e-5)


def test_windows_of_a_measurement_that_is_narrower_than_its_kernel() -> None:
    x, blur, noise = photograph(60, 200), Blur(gaussian_psf(5.0), "valid"), Gaussian(0.02)
    y = noise.sample(blur(x), torch.Generator().manual_seed(0))
    assert y.shape[2] < blur.psf.shape[0]
    assert RecurrentInference(tile=64).restore(Measurement(y, blur, noise)).x.shape == x.shape


def test_what_is_told_by_far_pixels_is_not_restored_in_windows() -> None:
    y = torch.rand(1, 1, 24, 30, generator=torch.Generator().manual_seed(0))
    seen_as = Response(SRGB())
    for operator, likelihood, local in (
        (Identity(), Gaussian(0.1), True),
        (Identity(), Gaussian(0.1 + 0.1 * y), False),
        (Identity(), SaltAndPepper(0.1), True),
        (Identity(), Poisson(60.0), False),
        (Mask(y > 0.5), Gaussian(0.1), False),
        (Blur(gaussian_psf(1.0)), Gaussian(0.1), True),
        (Blur(gaussian_psf(1.0)), Poisson(60.0), False),
        (Blur(gaussian_psf(1.0), "periodic"), Gaussian(0.1), False),
        (TURNS[1], Gaussian(0.1), False),
        (FirstChannel(3) @ Blur(gaussian_psf(1.0)) @ Repeated(3), Gaussian(0.1), True),
        (seen_as @ Blur(gaussian_psf(1.0)) @ seen_as.inverse, Gaussian(0.1), True),
        (Downsample(2) @ Blur(gaussian_psf(1.0)), Gaussian(0.1), False),
    ):
        seen = torch.where(y > 0.9, 1.0, y) if isinstance(likelihood, SaltAndPepper) else y
        interior = interior_of(Measurement(seen, operator, likelihood))
        assert (interior is not None) == local
