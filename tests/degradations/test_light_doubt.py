"""What is said of blurs in light that are restored as blurs in values."""

import pytest
import torch
from skimage import data

import undegrade as ud
from undegrade.degradations.degradation import Degradation
from undegrade.degradations.light_doubt import light_doubt

SIDE, STD = 240, 0.007
RESPONSE = ud.Response(ud.SRGB())
BLUR = ud.Blur(ud.motion_psf(length=9.0, angle=20.0), "replicate")
WAYS = {"light": RESPONSE @ BLUR @ RESPONSE.inverse, "values": BLUR}


def blurred(way: str, channels: int = 3) -> torch.Tensor:
    pixels = torch.from_numpy(data.astronaut()[20 : 20 + SIDE, 130 : 130 + SIDE].copy())
    x = pixels.permute(2, 0, 1).float()[None, :channels] / 255
    noise = ud.Gaussian(STD)
    return noise.sample(WAYS[way](x), torch.Generator().manual_seed(0)).clamp(0, 1)


def doubt(y: torch.Tensor, **said: object) -> str:
    degradation = Degradation(shape=(y.shape[1], SIDE, SIDE), **({"blur": BLUR} | said))
    return light_doubt(degradation, y, STD, lambda m: ud.RecurrentInference().restore(m).x)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_blur_in_light_is_told_where_no_response_is_said(channels):
    assert "--response srgb leaves" in doubt(blurred("light", channels))


def test_nothing_is_said_of_a_blur_in_values():
    assert doubt(blurred("values")) == ""


@pytest.mark.parametrize(
    "said",
    [
        {"blur": None},
        {"downsample": ud.Downsample(2)},
        {"response": RESPONSE},
        {"response": RESPONSE, "scene": "encoded"},
        {"mask": ud.Mask(torch.ones(1, 1, SIDE, SIDE))},
    ],
)
def test_nothing_is_said_of_other_degradations(said):
    assert doubt(blurred("light"), **said) == ""


def test_nothing_is_said_of_small_pictures_and_of_other_ranges_and_channels():
    y = blurred("light")
    small = Degradation(shape=(3, 100, 100), blur=BLUR)
    assert light_doubt(small, y[..., :100, :100], STD, _unused) == ""
    assert light_doubt(Degradation(shape=(3, SIDE, SIDE), blur=BLUR), 2 * y, STD, _unused) == ""
    four = torch.cat((y, y[:, :1]), 1)
    assert light_doubt(Degradation(shape=(4, SIDE, SIDE), blur=BLUR), four, STD, _unused) == ""


def _unused(measurement: ud.Measurement) -> torch.Tensor:
    raise AssertionError(f"nothing is to be restored, got {measurement}")
