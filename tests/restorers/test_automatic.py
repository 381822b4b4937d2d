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


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "operator",
    [
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
    ],
)
def test_total_variation_elsewhere_with_the_reason(operator, reason):
    choice = chosen(operator)
    assert choice.name == "variational"
    assert reason in choice.reason
