"""Which pixels remain, and how the others are guessed."""

import pytest
import torch
from torch.nn.functional import interpolate

from tests.cases import uniform
from undegrade.operators.bicubic import BicubicDownsample
from undegrade.operators.downsampling import Downsample


@pytest.mark.parametrize(("factor", "index"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2)])
def test_the_kept_pixel_has_the_index_of_the_convention(factor, index):
    x = torch.arange(4 * factor, dtype=torch.float64).expand(1, 1, 4 * factor, -1)
    assert Downsample(factor)(x)[0, 0, 0].tolist() == [k * factor + index for k in range(4)]
    assert Downsample(factor)(x.mT)[0, 0, :, 0].tolist() == [k * factor + index for k in range(4)]


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_first_estimate_passes_through_the_kept_pixels_and_is_linear_between(factor):
    ramp = torch.arange(4 * factor, dtype=torch.float64)
    x = (ramp[:, None] + 2 * ramp)[None, None]
    A = Downsample(factor)
    start = A.initial(A(x))
    torch.testing.assert_close(A(start), A(x))
    inside = slice(A.offset, 3 * factor + A.offset + 1)
    torch.testing.assert_close(start[..., inside, inside], x[..., inside, inside])


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bicubic_is_antialiased_interpolation_inside(factor):
    x = uniform(1, 2, 12 * factor, 9 * factor)
    expected = interpolate(x, size=(12, 9), mode="bicubic", antialias=True)
    got = BicubicDownsample(factor)(x)
    torch.testing.assert_close(got[..., 3:-3, 3:-3], expected[..., 3:-3, 3:-3])


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bicubic_mirrors_at_the_border(factor):
    """A mirrored image downsampled is the mirrored downsampled image, borders included."""
    x = uniform(1, 1, 4 * factor, 5 * factor)
    wide = torch.cat((x.flip(-1), x, x.flip(-1)), -1)
    wide = torch.cat((wide.flip(-2), wide, wide.flip(-2)), -2)
    got, expected = BicubicDownsample(factor)(x), BicubicDownsample(factor)(wide)
    torch.testing.assert_close(got, expected[..., 4:8, 5:10])


@pytest.mark.parametrize("A", [Downsample(3), BicubicDownsample(3)])
def test_sides_that_are_no_multiples_are_refused(A):
    with pytest.raises(ValueError, match="the sides of the image must be multiples of 3"):
        A(torch.ones(1, 1, 9, 10))


@pytest.mark.parametrize("kind", [Downsample, BicubicDownsample])
def test_a_factor_below_one_is_refused(kind):
    with pytest.raises(ValueError, match="1 or more, got 0"):
        kind(0)
