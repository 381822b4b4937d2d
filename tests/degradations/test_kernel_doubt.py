"""What is said of kernels and noise that a picture does not fit."""

import pytest
import torch

import undegrade as ud
from tests.kernels.test_estimate import scene
from tests.restorers.test_wiener import clouds
from undegrade.degradations.degradation import Degradation
from undegrade.degradations.estimated_blur import with_blur_told_by
from undegrade.degradations.flags import DegradationFlags
from undegrade.degradations.kernel_doubt import better_factor, kernel_doubt, stretched
from undegrade.evaluation.restoration import misfit
from undegrade.evaluation.section import misfit_in_words

SIDE = 200


def blurred(radius: float, std: float = 0.01) -> torch.Tensor:
    y = ud.Blur(ud.disk_psf(radius))(scene(SIDE).expand(1, 3, SIDE, SIDE))
    return ud.Gaussian(std).sample(y, torch.Generator().manual_seed(0))


def said(radius: float) -> Degradation:
    return Degradation(shape=(3, SIDE, SIDE), blur=ud.Blur(ud.disk_psf(radius)))


@pytest.mark.parametrize("radius", [2.0, 4.3])
def test_nothing_is_said_of_the_right_kernel(radius):
    assert kernel_doubt(said(radius), blurred(radius), 0.01) == ""


@pytest.mark.parametrize("radius", [2.5, 3.4, 5.4, 7.0])
def test_a_wrong_radius_is_told_with_a_better_one(radius):
    factor = better_factor(said(radius), blurred(4.3), 0.01)
    assert factor is not None
    assert 3.8 < factor * radius < 4.8
    assert "does not fit this kernel" in kernel_doubt(said(radius), blurred(4.3), 0.01)


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.7])
def test_a_stretched_kernel_is_as_much_wider(factor):
    psf = ud.gaussian_psf(3.0, dtype=torch.float64)
    wide = stretched(psf, factor)
    place = torch.arange(wide.shape[0]) - wide.shape[0] // 2
    width = (wide.sum(1) * place.square()).sum().sqrt()
    assert abs(width - 3.0 * factor) < 0.08  # a pixel has a width of 0.29 itself


def test_of_a_range_the_best_is_taken():
    flags = DegradationFlags(blur="disk:3..6", noise="gaussian:0.01")
    found, note = with_blur_told_by(blurred(4.3), flags)
    assert found.blur is not None
    assert abs(float(found.blur.split(":")[1]) - 4.3) < 0.2
    assert note.startswith("blur found: disk, radius 4")


RANGES = ["disk:6..3", "disk:0..3", "disk:3..x", "disk:3..inf", "motion:3..9"]


@pytest.mark.parametrize("blur", RANGES)
def test_a_range_is_two_numbers_the_smaller_first(blur):
    with pytest.raises(ValueError, match="expected"):
        with_blur_told_by(blurred(4.3), DegradationFlags(blur=blur))


def test_a_level_of_noise_in_gray_levels_is_told():
    with pytest.raises(ValueError, match=r"did you mean 25/255, gaussian:0\.098\?"):
        DegradationFlags(noise="gaussian:25")


def test_what_is_left_unexplained_is_counted_in_noise():
    x = clouds(2, 3, 24, 24)
    noise = ud.Gaussian(torch.tensor([0.1, 0.2]).double())
    y = noise.sample(x, torch.Generator().manual_seed(0))
    wrong = ud.Measurement(y, ud.Identity(), ud.Gaussian(0.05))
    torch.testing.assert_close(
        misfit(wrong, x), torch.tensor([2.0, 4.0]).double(), rtol=0.05, atol=0
    )
    assert "4.6 times the noise" in misfit_in_words(4.6)
    assert misfit_in_words(1.1) == ""
