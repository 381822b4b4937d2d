"""From words to operators, to a file and back."""

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.io
import torch

from tests.cases import uniform
from undegrade.degradations.degradation import Degradation
from undegrade.degradations.description import (
    degradation_from,
    description_of,
    read_description,
    write_description,
)
from undegrade.degradations.flags import DegradationFlags
from undegrade.degradations.unknown_noise import unknown_noise
from undegrade.files.picture import write_image
from undegrade.kernels.formulas import disk_psf, gaussian_psf, motion_psf
from undegrade.likelihoods import NOISES
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample
from undegrade.operators.identity import Identity
from undegrade.operators.mask import Mask
from undegrade.restorers.quadratic import Quadratic

SHAPE = (3, 40, 36)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


SPECIFICATIONS = [
    DegradationFlags(),
    DegradationFlags(blur="motion:15:30", boundary="replicate", noise="gaussian:0.02"),
    DegradationFlags(blur="gaussian:1.5", boundary="periodic", downsample=2),
    DegradationFlags(blur="disk:3", boundary="valid", mask=0.3, noise="poisson:30"),
    DegradationFlags(blur="shake:21", boundary="reflect", downsample=4, mask=0.9),
    DegradationFlags(mask=0.5, noise="salt-and-pepper:0.1"),
    DegradationFlags(blur="disk:2", response="gamma:2.2", noise="sensor:0.01:0.02", bits=8),
    DegradationFlags(response="log", scene="linear", saturation="on"),
    DegradationFlags(blur="disk:2", response="srgb", jpeg=30),
]


@pytest.mark.parametrize("specification", SPECIFICATIONS)
def test_a_description_gives_back_the_same_degradation(specification, tmp_path):
    degradation = specification.draw(SHAPE, seeded())
    write_description(tmp_path / "y.png.json", degradation)
    again = read_description(tmp_path / "y.png.json")
    x = uniform(1, *SHAPE).float()
    y = degradation.degrade(x, seeded())
    assert tuple(y.shape[1:]) == degradation.measured_shape == again.measured_shape
    assert torch.equal(again.degrade(x, seeded()), y)
    assert description_of(again) == description_of(degradation)
    assert [p.name for p in tmp_path.iterdir()] == ["y.png.json"]


def test_words_mean_what_the_functions_do():
    x, g = uniform(1, *SHAPE).float(), seeded()
    for words, psf in (
        ("motion:9:60", motion_psf(9.0, 60.0)),
        ("gaussian:1.2", gaussian_psf(1.2)),
        ("disk:2.5", disk_psf(2.5)),
    ):
        degradation = DegradationFlags(blur=words, boundary="zero").build(SHAPE)
        assert torch.equal(degradation.degrade(x, g), Blur(psf, "zero")(x))


def test_the_mask_comes_after_the_decimation_and_that_after_the_blur():
    degradation = DegradationFlags(blur="disk:2", boundary="valid", downsample=2, mask=0.5)
    built = degradation.draw(SHAPE, seeded())
    x = uniform(1, *SHAPE)
    assert isinstance(built.blur, Blur)
    assert isinstance(built.mask, Mask)
    assert built.measured_shape == (3, 18, 16)
    torch.testing.assert_close(built.degrade(x, seeded()), built.mask(Downsample(2)(built.blur(x))))


@pytest.mark.parametrize("specification", SPECIFICATIONS[:3])
def test_the_shape_of_the_picture_follows_from_the_measurement(specification):
    built = specification.draw(SHAPE, seeded())
    assert specification.image_shape((1, *built.measured_shape)) == SHAPE
    valid = DegradationFlags(blur="disk:2", boundary="valid", downsample=2)
    assert valid.image_shape(valid.build(SHAPE).measured_shape) == SHAPE


def test_about_the_asked_fraction_of_pixels_is_lost_in_all_channels():
    built = DegradationFlags(mask=0.3).draw((3, 200, 200), seeded())
    assert built.mask is not None
    assert built.mask.observed.shape == (1, 1, 200, 200)
    assert float(built.mask.observed.mean()) == pytest.approx(0.7, abs=0.01)


def test_known_noise_is_passed_on_and_unknown_noise_is_estimated():
    y = 0.5 + 0.1 * torch.randn(1, 3, 200, 160, generator=seeded())
    known = DegradationFlags(noise="gaussian:0.3").build((3, 200, 160)).measurement(y)
    assert float(known.likelihood(y, y + 0.3)) == pytest.approx(0.5 * y.numel(), rel=1e-4)
    unknown = DegradationFlags().build((3, 200, 160)).measurement(y).likelihood
    assert isinstance(unknown, Gaussian)
    assert float(unknown.std) == pytest.approx(0.1, rel=0.08)


def test_a_perfect_picture_still_has_the_noise_of_rounding():
    likelihood = DegradationFlags().build(SHAPE).measurement(torch.zeros(1, *SHAPE)).likelihood
    assert isinstance(likelihood, Gaussian)
    assert 0 < float(likelihood.std) < 0.002


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"blur": "motion:15"}, "expected the blur as motion:LENGTH:ANGLE, got 'motion:15'"),
        ({"blur": "motion:x:3"}, "expected motion:LENGTH:ANGLE with a number, got 'motion:x:3'"),
        ({"blur": "gaussian:-2"}, "positive, got -2"),
        ({"blur": "gaussian:nan"}, "with a number"),
        ({"blur": "disk:300"}, "at most 255 pixels"),
        ({"blur": "shake:20"}, "odd and 3 or more, got 20"),
        ({"blur": "shake:9999"}, "expected the blur as shake:SIZE"),
        ({"blur": "wobble:3"}, "kernel is known, as motion:LENGTH:ANGLE, .* got 'wobble:3'"),
        ({"blur": "nowhere.npy"}, "there is no kernel file nowhere.npy"),
        ({"blur": "motion:61:0"}, "larger than the image"),
        ({"downsample": 5}, "downsample must be 2, 3 or 4, got 5"),
        ({"downsample": 3}, "must be multiples of 3 to be downsampled, got 40×36"),
        ({"mask": 1.5}, "from 0 to 1, got 1.5"),
        ({"mask": "-0.5"}, "from 0 to 1, got -0.5"),
        ({"mask": "holes"}, "the fraction of lost pixels or a picture file, got 'holes'"),
        ({"noise": "gaussian:-1"}, "positive, got -1.0"),
        ({"noise": "gaussian"}, "expected gaussian:STD with a number, got 'gaussian'"),
        ({"noise": "hiss:1"}, "noise must be one of gaussian:STD, .* got 'hiss:1'"),
        ({"noise": "salt-and-pepper:1.2"}, "got 1.2"),
        ({"noise": "poisson:0"}, "got 0.0"),
    ],
)
def test_bad_words_are_refused_in_one_clear_line(words, message):
    with pytest.raises(ValueError, match=message) as refusal:
        DegradationFlags(**words).draw(SHAPE, seeded())
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "specification", [DegradationFlags(mask=0.5), DegradationFlags(blur="shake:9")]
)
def test_what_was_random_cannot_be_known_from_its_distribution(specification):
    with pytest.raises(ValueError, match="random"):
        specification.build(SHAPE)


def test_kernels_and_masks_come_from_files(tmp_path):
    psf = disk_psf(2.0)
    np.save(tmp_path / "k.npy", psf.numpy())
    scipy.io.savemat(tmp_path / "k.mat", {"kernel": psf.double().numpy()})
    cells = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = gaussian_psf(1.0).numpy(), psf.numpy()
    scipy.io.savemat(tmp_path / "many.mat", {"kernels": cells})
    write_image(tmp_path / "k.png", (psf / psf.max())[None, None], dtype="uint16")
    for name in ("k.npy", "k.mat", "many.mat:2", "k.png"):
        built = DegradationFlags(blur=str(tmp_path / name)).build(SHAPE)
        assert built.blur is not None
        torch.testing.assert_close(built.blur.psf, psf, rtol=1e-4, atol=1e-5)
    observed = (uniform(40, 36) > 0.5).float()
    write_image(tmp_path / "mask.png", observed[None, None])
    masked = DegradationFlags(mask=str(tmp_path / "mask.png")).build(SHAPE)
    assert masked.mask is not None
    assert torch.equal(masked.mask.observed[0, 0], observed)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (np.zeros((4, 5)), "all black"),
        (np.zeros((0, 5)), "no two-dimensional"),
        (np.full((3, 3), np.nan), "not finite"),
        (np.ones(5) / 5, "no two-dimensional array"),
        (np.array([["a"]]), "no two-dimensional array|not a readable"),
        (np.array([None]), "not a readable .npy file|pickle"),
    ],
)
def test_arrays_that_are_no_kernels_are_refused(kernel, message, tmp_path):
    np.save(tmp_path / "k.npy", kernel, allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        DegradationFlags(blur=str(tmp_path / "k.npy")).build(SHAPE)


@pytest.mark.parametrize("name", ["k.npy", "k.mat", "k.png", "k.txt"])
def test_damaged_and_foreign_kernel_files_are_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"this is no kernel" * 20)
    with pytest.raises(ValueError, match=name):
        DegradationFlags(blur=str(tmp_path / name)).build(SHAPE)


def test_a_black_kernel_picture_is_refused(tmp_path):
    write_image(tmp_path / "k.png", torch.zeros(1, 1, 5, 5))
    with pytest.raises(ValueError, match="is all black"):
        DegradationFlags(blur=str(tmp_path / "k.png")).build(SHAPE)


def test_a_picture_of_another_shape_is_refused():
    built = DegradationFlags(downsample=2).build(SHAPE)
    with pytest.raises(ValueError, match="for a picture of 40×36 pixels and 3 channel"):
        built.degrade(torch.zeros(1, 1, 40, 36), seeded())
    with pytest.raises(ValueError, match=r"for a degraded picture of 20×18 pixels .* got 40×36"):
        built.measurement(torch.zeros(1, 3, 40, 36))


def _changed(**changes):
    built = DegradationFlags(blur="disk:1", mask=0.5, noise="gaussian:0.1").draw(SHAPE, seeded())
    return json.dumps({**description_of(built), **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a description"),
        ("{", "is not a description"),
        ("[1, 2]", "must be an object, got a list"),
        ("[" * 100_000, "is not a description"),
        ("\xff\xfe", "is not a description"),
        ('{"format": "cookbook"}', "expected format 'undegrade degradation' version 1"),
        (_changed(version=3), "got 'undegrade degradation' version 3"),
        (_changed(picture=None), "'picture' must be an object"),
        (_changed(picture={"channels": 3, "height": 40}), "'width' is missing"),
        (_changed(picture={"channels": 3, "height": -4, "width": 3}), "at least one pixel"),
        (_changed(picture={"channels": 3, "height": 40.5, "width": 3}), "a whole number"),
        (_changed(blur={"boundary": "wrap", "shape": [1, 1], "values": [1]}), "boundary must be"),
        (_changed(blur={"boundary": "zero", "shape": [3, 3], "values": [1]}), "not have 1 values"),
        (_changed(blur={"boundary": "zero", "shape": [1, 2], "values": [0.5, 0.5]}), "odd number"),
        (_changed(blur={"boundary": "zero", "shape": [1, 1], "values": ["1"]}), "got text"),
        (_changed(blur={"boundary": "zero", "shape": [1, 1], "values": [3]}), "sums to 3"),
        (
            _changed(blur={"boundary": "zero", "shape": [1, 1], "values": [10**400]}),
            "is not a desc",
        ),
        (_changed(blur={"boundary": "zero", "shape": [1, 1], "values": [float("nan")]}), "NaN"),
        (_changed(mask={"shape": [40, 36], "bits": "AAAA"}), "does not have 3 bytes"),
        (_changed(mask={"shape": [40, 36], "bits": "*"}), "not base64"),
        (_changed(mask={"shape": [8, 8], "bits": "AAAAAAAAAAA="}), "the mask is for"),
        (_changed(downsample={"factor": 7}), "multiples of 7"),
        (_changed(noise={"kind": "hiss"}), "noise must be one of"),
        (_changed(noise={"kind": "poisson", "peak": [30, 20, 10]}), "one level in all channels"),
        (
            _changed(noise={"kind": "laplace", "scale": [0.1, 0.1, 0.2]}),
            "one level in all channels",
        ),
        (_changed(noise={"kind": "gaussian", "std": -1}), "positive, got -1"),
        (_changed(noise={"kind": "gaussian"}), "'std' is missing"),
        (_changed(noise={"kind": "gaussian", "std": 1e39}), "finite levels"),
        (_changed(noise={"kind": "gaussian", "std": 1}).replace("1}", "1e999}"), "finite levels"),
        (_changed(noise={"kind": "a" * 10_000}), "noise must be one of"),
        (_changed(noise={"kind": "\ud800"}), r"got \\ud800"),
        (_changed(downsample={"factor": 3000}), "at most 16"),
        (_changed(picture={"channels": 3, "height": 72_000, "width": 90_000}), "too large"),
        (_changed(picture={"channels": 3, "height": 10**30, "width": 1}), "too large"),
        (_changed(bits=0), "1 to 16 bits"),
        (_changed(bits="8"), "a whole number"),
    ],
    ids=range(36),
)
def test_what_is_no_description_is_refused_in_one_clear_line(text, message, tmp_path):
    file = tmp_path / "y.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=message) as refusal:
        read_description(file)
    assert "\n" not in str(refusal.value)
    assert str(file) in str(refusal.value)
    assert len(str(refusal.value)) < 800
    str(refusal.value).encode()


def test_a_missing_description_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_description(tmp_path / "y.json")


def test_a_batch_of_degradations_has_no_description():
    per_image = Degradation(shape=SHAPE, blur=Blur(torch.full((2, 1, 1, 1), 1.0)))
    with pytest.raises(ValueError, match="of one image, the kernel is of 2"):
        description_of(per_image)
    noisy = Degradation(shape=SHAPE, likelihood=Gaussian(torch.tensor([0.1, 0.2])))
    with pytest.raises(ValueError, match="of one image, the noise is of 2"):
        description_of(noisy)


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES.keys())
def test_every_kind_of_noise_has_a_flag_and_a_description(noise):
    likelihood = (
        DegradationFlags(noise=noise.name + ":0.25" * (noise.unit.count(":") + 1))
        .build(SHAPE)
        .likelihood
    )
    assert type(likelihood) is noise.kind
    again = degradation_from(description_of(Degradation(shape=SHAPE, likelihood=likelihood)))
    assert type(again.likelihood) is noise.kind
    assert dict(again.likelihood.named_buffers()) == dict(likelihood.named_buffers())
    assert getattr(likelihood, noise.levels[0]) == 0.25
    assert f"{noise.name}:{noise.unit}" in " ".join(DegradationFlags.__doc__.split())


def test_the_first_version_is_still_read():
    data = description_of(DegradationFlags(blur="disk:1", noise="gaussian:0.1").build(SHAPE))
    del data["bits"]
    again = degradation_from({**data, "version": 1})
    assert description_of(again) == {**data, "bits": None}


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_rounding_is_a_part_of_the_degradation(bits):
    built = DegradationFlags(noise="gaussian:0.1", bits=bits).build(SHAPE)
    again = degradation_from(description_of(built))
    y = again.degrade(uniform(1, *SHAPE), seeded())
    assert again.bits == bits
    torch.testing.assert_close(y, (y * (2**bits - 1)).round() / (2**bits - 1))
    assert 0 <= y.min() < y.max() <= 1
    plain = DegradationFlags(noise="gaussian:0.1").build(SHAPE).degrade(
        uniform(1, *SHAPE), seeded()
    )  # fmt: skip
    assert (y - plain.clamp(0, 1)).abs().max() <= 0.5001 / (2**bits - 1)


def test_the_least_noise_is_that_of_the_rounding():
    flat = torch.full((1, *SHAPE), 0.5)
    for bits in (8, 12):
        likelihood = DegradationFlags(bits=bits).build(SHAPE).measurement(flat).likelihood
        assert float(likelihood.std.mean()) == pytest.approx(1 / ((2**bits - 1) * 12**0.5))


def test_the_noise_is_estimated_from_the_seen_pixels_alone():
    rows, columns = torch.meshgrid(torch.arange(128.0), torch.arange(96.0), indexing="ij")
    x = (0.5 + 0.2 * torch.sin(rows / 20) * torch.cos(columns / 15)).expand(1, 3, 128, 96)
    known = DegradationFlags(mask=0.5, noise="gaussian:0.05").draw(x.shape, seeded())
    unknown = replace(known, likelihood=None)
    estimated = unknown.measurement(known.degrade(x, seeded())).likelihood
    assert float(estimated.std) == pytest.approx(0.05, rel=0.15)


def test_what_is_lost_measures_exactly_zero():
    built = DegradationFlags(mask=0.5, noise="gaussian:0.1").draw(SHAPE, seeded())
    y = built.degrade(uniform(1, *SHAPE), seeded())
    assert torch.equal(y == 0, (built.mask.observed == 0).expand_as(y))


def test_each_image_of_a_batch_has_its_own_kernel_and_mask():
    built = DegradationFlags(blur="shake:9", mask=0.5).draw((2, *SHAPE), seeded())
    assert built.blur.psf.shape == (2, 1, 9, 9)
    assert built.mask.observed.shape == (2, 1, *SHAPE[1:])
    assert not torch.equal(built.mask.observed[0], built.mask.observed[1])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"blur": Blur(torch.ones(2, 1, 1))}, "the kernel is for 2 channels, the picture has 3"),
        ({"mask": Mask(torch.ones(40, 35))}, "the mask is for 1 × 40×35 entries"),
        ({"mask": Mask(torch.ones(40, 36)), "downsample": Downsample(2)}, "3 × 20×18"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        Degradation(shape=SHAPE, **parts)


@pytest.mark.parametrize("held", [5.0, 1.0, torch.nan, torch.inf])
def test_what_stands_at_lost_entries_has_no_say(held):
    """Behind a blur too, for given noise and estimated, and so for every method."""
    observed = uniform(1, 40, 36) > 0.3
    known = Degradation(
        shape=(3, 40, 36), blur=Blur(gaussian_psf(1.0), "replicate"), mask=Mask(observed)
    )
    x = uniform(1, 3, 40, 36)
    y = known.degrade(x, torch.Generator().manual_seed(0))
    for likelihood in (Gaussian(0.05), None):
        degradation = replace(known, likelihood=likelihood)
        clean, soiled = (degradation.measurement(v) for v in (y, y.where(observed, held)))
        assert torch.equal(clean.y, soiled.y)
        levels = (dict(m.likelihood.named_buffers())["std"] for m in (clean, soiled))
        torch.testing.assert_close(*levels)
    method = Quadratic()
    torch.testing.assert_close(method.restore(soiled).x, method.restore(clean).x)


def test_channels_of_unlike_noise_have_levels_of_their_own(tmp_path) -> None:
    generator = torch.Generator().manual_seed(0)
    levels = torch.tensor([0.01, 0.01, 0.08]).reshape(1, 3, 1, 1)
    ramp = torch.linspace(0.2, 0.8, 96).expand(1, 3, 96, 96)
    y = ramp + levels * torch.randn(ramp.shape, generator=generator)
    known = Degradation(shape=(3, 96, 96)).completed(y)
    assert isinstance(known.likelihood, Gaussian)
    torch.testing.assert_close(known.likelihood.std, levels, rtol=0.1, atol=0)

    write_description(tmp_path / "y.json", known)
    read = read_description(tmp_path / "y.json")
    assert isinstance(read.likelihood, Gaussian)
    assert torch.equal(read.likelihood.std, known.likelihood.std)
    data = json.loads((tmp_path / "y.json").read_text())
    data["noise"]["std"] = [0.1, 0.2]
    with pytest.raises(ValueError, match="one for each of the 3 channels, got 2"):
        degradation_from(data)
    data["noise"]["std"] = [0.1, "much", 0.2]
    with pytest.raises(ValueError, match="must be a number, got text"):
        degradation_from(data)


def test_equal_levels_stay_one_number() -> None:
    y = 0.5 + 0.05 * torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    noise = unknown_noise(y, Identity())
    assert noise.std.shape == (2,)
    assert noise.std.tolist() == pytest.approx([0.05, 0.05], rel=0.05)
