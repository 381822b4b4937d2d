"""Whatever the picture is like, no method returns less than it was given."""

import functools
from collections.abc import Callable

import pytest
import torch
from skimage import data

import undegrade as ud
from tests.cases import uniform
from undegrade.core.image import Image
from undegrade.core.operator import Operator
from undegrade.restorers import RESTORERS
from undegrade.restorers.initial import first_estimate

SIDE = 56
CLOSE = {"learned": 0.2, "wiener": 1.0}  # dB, how far below `quadratic`


def photograph() -> Image:
    """A face: skin, hair and a bright background."""
    pixels = torch.from_numpy(data.astronaut()[60 : 60 + SIDE, 190 : 190 + SIDE].copy())
    return pixels.permute(2, 0, 1)[None].float() / 255


def saturated(x: Image) -> Image:
    """Three times as far from gray."""
    return (x.mean(1, keepdim=True) + 3 * (x - x.mean(1, keepdim=True))).clamp(0, 1)


PICTURES: dict[str, Callable[[Image], Image]] = {
    "gray": lambda x: x.mean(1, keepdim=True),
    "color": lambda x: x,
    "saturated": saturated,
}
BLUR = ud.Blur(ud.disk_psf(2.0))
DEGRADATIONS: dict[str, tuple[Operator, float]] = {
    "noise": (ud.Identity(), 0.1),
    "gaussian": (ud.Blur(ud.gaussian_psf(1.0)), 0.01),
    "disk, zero": (ud.Blur(ud.disk_psf(2.0), "zero"), 0.02),
    "motion, valid": (ud.Blur(ud.motion_psf(9.0, 30.0), "valid"), 0.01),
    "motion, periodic": (ud.Blur(ud.motion_psf(9.0, 30.0), "periodic"), 0.003),
    "low resolution": (ud.Downsample(2) @ ud.Blur(ud.gaussian_psf(1.0)), 0.01),
    "missing": (ud.Mask(uniform(SIDE, SIDE) > 0.5), 0.02),
    "missing behind a blur": (ud.Mask(uniform(SIDE, SIDE) > 0.3) @ BLUR, 0.02),
}
CASES = [
    *(("learned", name) for name in DEGRADATIONS if not name.startswith("motion")),
    *(("wiener", name) for name in ("noise", "motion, valid", "motion, periodic")),
]


@functools.cache
def measured(degradation: str, picture: str) -> tuple[Image, ud.Measurement, float]:
    """The truth, a measurement, and the better of what it was and what `quadratic` makes of it."""
    x, (operator, std) = PICTURES[picture](photograph()), DEGRADATIONS[degradation]
    noise = ud.Gaussian(std)
    y = noise.sample(operator(x), torch.Generator().manual_seed(11))
    measurement = ud.Measurement(y, operator, noise)
    given = ud.psnr(first_estimate(measurement), x)
    return x, measurement, max(given, ud.psnr(restored("quadratic", measurement), x)).item()


def restored(method: str, measurement: ud.Measurement) -> Image:
    return RESTORERS[method]().restore(measurement).x


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize(("method", "degradation"), CASES)
def test_no_method_is_below_its_input_and_quadratic(method, degradation, picture):
    x, measurement, baseline = measured(degradation, picture)
    assert ud.psnr(restored(method, measurement), x).item() > baseline - CLOSE[method]


@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("degradation", ["gaussian"])
def test_noise_that_the_channels_share(degradation, share):
    """As after demosaicking, or in a scanned black-and-white picture that was stored in color."""
    x, (operator, std) = photograph(), DEGRADATIONS[degradation]
    clean, generator = operator(x), torch.Generator().manual_seed(11)
    own, common = (
        torch.randn((len(clean), n, *clean.shape[2:]), generator=generator) for n in (3, 1)
    )
    y = clean + 3 * std * ((1 - share) ** 0.5 * own + share**0.5 * common)
    measurement = ud.Measurement(y, operator, ud.Gaussian(3 * std))
    baseline = ud.psnr(restored("quadratic", measurement), x)
    assert ud.psnr(restored("learned", measurement), x) > baseline


def test_a_gray_picture_in_color_is_restored_as_gray():
    x, (operator, std) = PICTURES["gray"](photograph()), DEGRADATIONS["gaussian"]
    y = ud.Gaussian(std).sample(operator(x), torch.Generator().manual_seed(11))
    gray = ud.Measurement(y, operator, ud.Gaussian(std))
    color = ud.Measurement(y.expand(-1, 3, -1, -1), operator, ud.Gaussian(std))
    together = restored("learned", color)
    alone = restored("learned", gray).expand(-1, 3, -1, -1)
    torch.testing.assert_close(together, alone, rtol=0, atol=5e-3)  # the network may be in bfloat16
