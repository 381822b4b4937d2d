"""Which method `auto` takes, and why."""

import pytest
import torch

import undegrade as ud
from tests.cases import Doubled, uniform
from undegrade.core.image import Image
from undegrade.core.operator import LinearOperator, Operator

MASK = uniform(3, 32, 32).float().round()


class CodedAperture(LinearOperator):
    """Every channel masked and shifted by its number, then all summed: a snapshot spectrometer."""

    def forward(self, x: Image) -> torch.Tensor:
        wide = torch.nn.functional.pad(MASK * x, (0, 2))
        return sum(wide[:, i : i + 1].roll(i, -1) for i in range(3))

    def adjoint(self, y: torch.Tensor) -> Image:
        parts = [y.roll(-i, -1)[..., :32] for i in range(3)]
        return MASK * torch.cat(parts, 1)


def chosen(operator: Operator, channels: int = 3) -> ud.Choice:
    y = operator(uniform(1, channels, 32, 32).float())
    return ud.Automatic().choose(ud.Measurement(y, operator, ud.Gaussian(0.01)))


GAMMA = ud.Response(ud.Gamma(2.2))
BLUR = ud.Blur(ud.disk_psf(2.0))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "operator",
    [
        GAMMA @ BLUR @ GAMMA.inverse,
        GAMMA @ ud.Downsample(2) @ BLUR @ GAMMA.inverse,
        ud.Identity(),
        ud.Blur(ud.disk_psf(2.0), "zero"),
        ud.Downsample(2) @ ud.Blur(ud.gaussian_psf(1.0)),
        ud.BicubicDownsample(2),
        ud.Mask(uniform(32, 32) > 0.7),
        ud.Mask(uniform(32, 32) > 0.3) @ ud.Blur(ud.disk_psf(2.0)),
    ],
)
def test_learned_where_it_was_measured_to_be_better(operator, channels):
    assert chosen(operator, channels).name == "learned"


@pytest.mark.parametrize(
    ("operator", "reason"),
    [
        (CodedAperture(), "mixes channels"),
        (ud.from_physics(Doubled()), "makes white 2"),
        (ud.Function(torch.tanh), "not linear"),
        (ud.Function(torch.square), "not linear"),
        (GAMMA @ BLUR, "changes flat pictures"),
    ],
)
def test_total_variation_elsewhere_with_the_reason(operator, reason):
    choice = chosen(operator)
    assert choice.name == "variational"
    assert reason in choice.reason


def test_stars_on_a_sky_that_was_taken_away_keep_their_light() -> None:
    """Half of such a picture is noise below zero, which a photograph never shows."""
    generator = torch.Generator().manual_seed(0)
    x = torch.zeros(1, 1, 96, 96)
    x[0, 0, 8:88:16, 8:88:16] = 0.7
    blur = ud.Blur(ud.gaussian_psf(1.5))
    y = ud.Gaussian(0.0016).sample(blur(x), generator)
    measurement = ud.Measurement(y, blur, ud.Gaussian(0.0016))
    choice = ud.Automatic().choose(measurement)
    assert choice.name == "variational"
    assert "below zero" in choice.reason
    light = choice.restorer.restore(measurement).x.sum() / x.sum()
    assert light == pytest.approx(1, abs=0.05)


def test_a_photograph_whose_black_is_below_zero_is_one() -> None:
    y = uniform(1, 3, 32, 32).float() - 0.4
    choice = ud.Automatic().choose(ud.Measurement(y, ud.Identity(), ud.Gaussian(0.05)))
    assert choice.name == "learned"
