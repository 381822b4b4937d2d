"""The noise level of a picture that nobody measured."""

import pytest
import torch

from tests.cases import uniform
from undegrade.likelihoods.noise_level import estimate_noise_std


def textured(h: int = 192, w: int = 176) -> torch.Tensor:
    """Half smooth, half fine stripes that plain differences take for noise."""
    rows, columns = torch.arange(h, dtype=torch.float64), torch.arange(w, dtype=torch.float64)
    smooth = 0.5 + 0.3 * torch.sin(rows[:, None] / 40 + columns / 50)
    stripes = 0.1 * torch.sin(2.2 * rows[:, None] + 1.7 * columns)
    return (smooth + stripes * (columns > w / 3)).expand(1, 3, h, w)


def noise(x: torch.Tensor) -> torch.Tensor:
    return torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("std", [0.01, 0.03, 0.1, 0.2])
@pytest.mark.parametrize("eight_bit", [False, True])
def test_it_is_right_within_eight_percent_in_spite_of_texture(std, eight_bit):
    y = textured() + std * noise(textured())
    y = (y.clamp(0, 1) * 255).round() / 255 if eight_bit else y
    assert float(estimate_noise_std(y)) == pytest.approx(std, rel=0.08)


def test_every_image_has_its_own_level():
    x = textured().expand(3, 3, 192, 176)
    std = torch.tensor([0.02, 0.05, 0.1], dtype=x.dtype)
    y = x + std[:, None, None, None] * noise(x)
    together = estimate_noise_std(y)
    torch.testing.assert_close(together, torch.cat([estimate_noise_std(s[None]) for s in y]))
    torch.testing.assert_close(together, std, rtol=0.05, atol=0)


@pytest.mark.parametrize("size", [(1, 400), (400, 1), (20, 20), (3, 3), (33, 47)])
def test_small_pictures_and_signals_have_one_too(size):
    y = 0.5 + 0.1 * noise(torch.zeros(1, 1, *size, dtype=torch.float64))
    estimate = float(estimate_noise_std(y))
    assert estimate == pytest.approx(0.1, rel=0.25) or size == (3, 3)
    assert 0 <= estimate < 1


def test_lost_pixels_do_not_count():
    observed = uniform(192, 176) > 0.5
    y = (0.5 + 0.05 * noise(textured())) * observed
    estimate = float(estimate_noise_std(y, observed))
    assert estimate == pytest.approx(0.05, rel=0.05)


def test_too_few_seen_pixels_are_refused():
    with pytest.raises(ValueError, match="give the noise level"):
        estimate_noise_std(uniform(1, 1, 32, 32), uniform(32, 32) > 0.95)


def test_a_flat_picture_has_no_noise():
    assert float(estimate_noise_std(torch.full((1, 3, 200, 200), 0.3))) < 1e-6
