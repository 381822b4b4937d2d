"""Lost pixels and their first estimate."""

import pytest
import torch

from tests.cases import uniform
from undegrade.operators.mask import Mask


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (17, 20), (64, 33)])
@pytest.mark.parametrize("lost", [0.0, 0.3, 0.95])
def test_a_constant_image_is_filled_exactly(size, lost):
    observed = uniform(*size) >= lost
    observed[0, 0] = True
    A, x = Mask(observed), torch.full((2, 3, *size), 0.7, dtype=torch.float64)
    torch.testing.assert_close(A.initial(A(x)), x)


def test_seen_pixels_stay_and_lost_ones_come_close():
    line = torch.linspace(0, 1, 40, dtype=torch.float64)
    x = (0.5 + 0.4 * torch.sin(3 * line[:, None] + 2 * line))[None, None]
    A = Mask(uniform(40, 40) > 0.8)
    seen = A.observed.expand_as(x) > 0
    filled = A.initial(A(x))
    assert torch.equal(filled[seen], x[seen])
    assert (filled - x)[~seen].abs().max() < 0.1


def test_each_channel_of_each_image_has_its_own_holes():
    observed = uniform(2, 3, 16, 16) > 0.5
    x = uniform(2, 3, 16, 16, seed=1)
    filled = Mask(observed).initial(x)
    for i in range(2):
        for c in range(3):
            alone = Mask(observed[i, c]).initial(x[i : i + 1, c : c + 1])
            torch.testing.assert_close(filled[i, c], alone[0, 0])


def test_without_any_seen_pixel_the_estimate_is_finite():
    filled = Mask(torch.zeros(5, 6)).initial(uniform(1, 1, 5, 6))
    assert torch.equal(filled, torch.zeros_like(filled))


def test_lost_entries_measure_as_zero():
    x, observed = uniform(1, 1, 4, 4) + 1, uniform(4, 4) > 0.5
    assert torch.equal(Mask(observed)(x)[0, 0] > 0, observed)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match="the mask is for 4×4 pixels, the image has 5×4"):
        Mask(torch.ones(4, 4))(torch.ones(1, 1, 5, 4))
    with pytest.raises(ValueError, match="a mask has shape"):
        Mask(torch.ones(4))
