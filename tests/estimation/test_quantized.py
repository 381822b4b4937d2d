"""The error of rounded coefficients, told by the counts of rounded values."""

import pytest
import torch
from torch import Tensor

from undegrade.estimation.quantized import rounding_variance

N = torch.arange(8, dtype=torch.float64)
FREQUENCY = (N[:, None] ** 2 + N**2).sqrt().flatten()


def coefficients(fall: float, contrast: float, seed: int) -> Tensor:
    """(2, blocks, 64): Laplacian, smaller at high frequencies, of two pictures."""
    draw = torch.Generator().manual_seed(seed)
    uniform = torch.rand(2, 400, 64, generator=draw, dtype=torch.float64) - 0.5
    laplacian = -uniform.sign() * torch.log1p(-2 * uniform.abs())
    blocks = torch.randn(2, 400, 1, generator=draw, dtype=torch.float64)
    scale = 0.2 * FREQUENCY.clamp(min=0.5) ** -fall * (contrast * blocks).exp()
    return scale * laplacian * torch.tensor([1.0, 0.3], dtype=torch.float64)[:, None, None]


@pytest.mark.parametrize(("fall", "contrast"), [(1.0, 0.0), (1.4, 0.8), (2.0, 0.4)])
@pytest.mark.parametrize("step", [0.02, 0.1, 0.4])
def test_it_is_about_the_true_one(fall, contrast, step):
    steps = step * (0.5 + FREQUENCY / 8)
    true = coefficients(fall, contrast, 0)
    multiples = (true / steps).round()
    expected = (true - multiples * steps).square().mean((1, 2))
    found = rounding_variance(multiples, steps)
    assert ((found / expected).sqrt().log().abs() < 0.2).all()
    alone = rounding_variance(multiples[1:], steps)
    torch.testing.assert_close(found[1:], alone)


def test_even_spread_would_be_far_more():
    steps = torch.full((64,), 0.4, dtype=torch.float64)
    multiples = (coefficients(1.4, 0.4, 1) / steps).round()
    assert (rounding_variance(multiples, steps) < 0.2 * 0.4**2 / 12).all()
