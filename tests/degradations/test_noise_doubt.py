"""What is said of noise that is told to be more than a picture shows."""

import pytest
import torch
from skimage import data

import undegrade as ud
from undegrade.degradations.degradation import Degradation
from undegrade.degradations.noise_doubt import noise_doubt

SIDE, STD = 160, 0.06
BLUR = ud.Blur(ud.motion_psf(length=9.0, angle=20.0), "replicate")
HALF = ud.Mask(torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) < 0.5)
PARTS = ({}, {"bits": 8}, {"blur": BLUR}, {"mask": HALF})


def noisy(std: float = STD, **parts: object) -> torch.Tensor:
    pixels = torch.from_numpy(data.astronaut()[20 : 20 + SIDE, 130 : 130 + SIDE].copy())
    x = pixels.permute(2, 0, 1).float()[None] / 255
    return said(std, **parts).degrade(x, torch.Generator().manual_seed(0))


def said(std: float, **parts: object) -> Degradation:
    return Degradation(shape=(3, SIDE, SIDE), **({"likelihood": ud.Gaussian(std)} | parts))


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("factor", [0.5, 1.0, 1.1])
def test_nothing_is_said_of_noise_that_the_picture_shows(factor: float, parts: dict) -> None:
    assert noise_doubt(said(factor * STD, **parts), noisy(**parts)) == ""


@pytest.mark.parametrize("parts", PARTS)
def test_noise_that_is_more_than_the_picture_shows_is_told(parts: dict) -> None:
    doubt = noise_doubt(said(2 * STD, **parts), noisy(**parts))
    assert "std 0.12, is " in doubt
    assert 1.7 < float(doubt.split(" is ")[2].split(" times")[0]) < 2.2


@pytest.mark.parametrize(
    "parts",
    [
        {"likelihood": ud.Poisson(10.0)},
        {"likelihood": ud.Gaussian(torch.full((1, 3, SIDE, SIDE), 2 * STD))},
        {"jpeg": ud.Jpeg.of_quality(50), "bits": 8},
    ],
)
def test_nothing_is_said_of_other_noise(parts: dict) -> None:
    assert noise_doubt(said(2 * STD, **parts), noisy()) == ""


def test_nothing_is_said_of_less_than_the_steps_of_the_values() -> None:
    assert noise_doubt(said(1.5 / 255), noisy(0.1 / 255, bits=8)) == ""


def test_nothing_is_said_where_too_little_is_seen() -> None:
    nothing = ud.Mask(torch.zeros(1, 1, SIDE, SIDE))
    assert noise_doubt(said(2 * STD, mask=nothing), noisy(mask=nothing)) == ""
