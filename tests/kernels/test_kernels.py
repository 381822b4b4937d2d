"""Kernels with a formula, and random ones."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from undegrade.kernels import camera_shake
from undegrade.kernels.camera_shake import camera_shake_psf, camera_shake_psfs
from undegrade.kernels.formulas import disk_psf, gaussian_psf, motion_psf
from undegrade.kernels.super_resolution import super_resolution_psf, super_resolution_psfs
from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample

f64 = torch.float64


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moments(psf: Tensor) -> tuple[float, float, float, float, float]:
    """Mean right and up of the middle, variance right, up, and covariance."""
    h, w = psf.shape
    x = torch.arange(w, dtype=f64) - (w - 1) / 2
    y = -(torch.arange(h, dtype=f64) - (h - 1) / 2)[:, None]

    def mean(values: Tensor) -> float:
        return float((psf.to(f64) * values).sum())

    right, up = mean(x + 0 * y), mean(y + 0 * x)
    return right, up, mean(x**2 + 0 * y) - right**2, mean(y**2 + 0 * x) - up**2, mean(x * y)


@pytest.mark.parametrize(
    "psf",
    [
        gaussian_psf(1.5),
        gaussian_psf((3.0, 1.0), size=9, angle=20.0),
        disk_psf(2.3),
        disk_psf(0.3),
        motion_psf(15.0, 30.0),
        motion_psf(1.0, 0.0),
        camera_shake_psf(21, seeded()),
        super_resolution_psf(2, seeded()),
    ],
)
def test_kernels_are_odd_non_negative_and_sum_to_one(psf):
    assert psf.dtype == torch.float32
    assert psf.shape[0] % 2 == psf.shape[1] % 2 == 1
    assert (psf >= 0).all()
    assert abs(float(psf.double().sum()) - 1) < 1e-6


def test_a_gaussian_has_its_standard_deviations_and_direction():
    psf = gaussian_psf((3.0, 1.5), size=31, angle=30.0, dtype=f64)
    cos, sin = math.cos(math.radians(30)), math.sin(math.radians(30))
    right, up, xx, yy, xy = moments(psf)
    assert (right, up) == pytest.approx((0, 0), abs=1e-12)
    assert xx == pytest.approx(9 * cos**2 + 2.25 * sin**2, rel=1e-3)
    assert yy == pytest.approx(9 * sin**2 + 2.25 * cos**2, rel=1e-3)
    assert xy == pytest.approx((9 - 2.25) * cos * sin, rel=1e-3)  # positive: up to the right


def test_a_disk_has_the_variance_of_a_disk():
    for radius in (4.0, 6.25, 9.7):
        _, _, xx, yy, _ = moments(disk_psf(radius, dtype=f64))
        # a quarter of the radius squared, and the width of a pixel
        assert xx == pytest.approx(radius**2 / 4 + 1 / 12, rel=0.01)
        assert yy == pytest.approx(xx)


def test_the_middle_of_a_disk_is_flat_and_its_edge_is_covered_in_part():
    psf = disk_psf(2.0, dtype=f64) * math.pi * 4
    assert psf.shape == (5, 5)
    assert psf[2, 2] == pytest.approx(1, rel=0.01)
    assert 0 < psf[0, 2] < 1
    assert psf[0, 0] == 0


def test_a_motion_along_the_axes_is_a_row_or_a_column():
    torch.testing.assert_close(motion_psf(15.0, 0.0), torch.full((1, 15), 1 / 15))
    torch.testing.assert_close(motion_psf(5.0, 90.0), torch.full((5, 1), 1 / 5))


def test_a_motion_has_its_length_and_direction():
    _, _, xx, yy, xy = moments(motion_psf(20.0, 30.0, dtype=f64))
    along = 20**2 / 12 - 1 / 12
    assert xy == pytest.approx(along * math.cos(math.pi / 6) * math.sin(math.pi / 6), rel=0.02)
    assert xx - yy == pytest.approx(along * math.cos(math.pi / 3), rel=0.02)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gaussian_psf(0.0), "positive, got 0.0"),
        (lambda: gaussian_psf(1.0, size=4), "odd and positive, got 4"),
        (lambda: disk_psf(-1.0), "positive, got -1.0"),
        (lambda: motion_psf(0.5, 0.0), "1 pixel or more, got 0.5"),
        (lambda: camera_shake_psf(20, seeded()), "odd and 3 or more, got 20"),
        (lambda: super_resolution_psf(2, seeded(), size=12), "odd, got 12|is odd"),
    ],
)
def test_impossible_kernels_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_random_kernels_repeat_with_their_generator():
    for draw in (
        lambda g: camera_shake_psfs(3, 21, g),
        lambda g: super_resolution_psfs(3, 2, g),
    ):
        assert torch.equal(draw(seeded(1)), draw(seeded(1)))
        assert not torch.equal(draw(seeded(1)), draw(seeded(2)))
        assert not torch.equal(draw(seeded(1))[0], draw(seeded(1))[1])


def test_the_hand_moves_at_constant_speed_and_turns():
    path = camera_shake._trajectories(50, 500, 0.03, seeded())
    steps = np.diff(path, axis=1)
    np.testing.assert_allclose(np.abs(steps), 0.03, rtol=1e-9)
    assert np.abs(path[:, 0]).max() == 0
    reach = np.abs(path[:, -1])
    assert reach.min() < 3 < 10 < reach.max() < 15  # some shake on the spot, some go far


def test_shaken_kernels_fit_and_lie_in_the_middle():
    psfs = camera_shake_psfs(60, 21, seeded())[:, 0] > 0
    rows, columns = psfs.any(2), psfs.any(1)
    for used in (rows, columns):
        first = used.int().argmax(1)
        last = 20 - used.flip(1).int().argmax(1)
        assert ((first + last - 20).abs() <= 1).all()
    assert rows.sum(1).max() == 21 or columns.sum(1).max() == 21  # none is cut, some were shrunk


def test_a_path_is_drawn_where_it_runs():
    paths = np.array([[1.25 - 2.5j, 1.25 - 2.5j], [-3.0 + 0.5j, 2.0 + 9.0j]])
    seen = np.array([[True, True], [True, False]])
    psfs = torch.from_numpy(camera_shake._drawn(paths, seen, 9))
    expected = torch.zeros(2, 1, 9, 9, dtype=f64)
    expected[0, 0, 1:3, 5:7] = torch.tensor([[0.5], [0.5]]) * torch.tensor([0.75, 0.25])
    expected[1, 0, 4:6, 1] = 0.5  # the second point was not seen
    torch.testing.assert_close(psfs, expected)


def test_short_exposures_make_small_kernels():
    sizes = [int((p > 0).sum()) for p in camera_shake_psfs(60, 21, seeded())]
    assert min(sizes) < 15
    assert max(sizes) > 60


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_low_resolution_pixels_stand_for_the_middle_of_their_blocks(factor):
    """A ramp seen through kernel and decimation has the values of the block means."""
    psf = super_resolution_psfs(1, factor, seeded(), size=31, roughness=0.0, dtype=f64)
    ramp = torch.arange(24.0 * factor, dtype=f64)
    x = (ramp[:, None] + 3 * ramp)[None, None]
    y = (Downsample(factor) @ Blur(psf, "replicate"))(x)
    means = torch.nn.functional.avg_pool2d(x, factor)
    inside = (..., slice(8, 16), slice(8, 16))
    assert y[inside].shape == (1, 1, 8, 8)
    torch.testing.assert_close(y[inside], means[inside], rtol=0, atol=0.02)


def test_super_resolution_kernels_have_the_variances_asked_for():
    psfs = super_resolution_psfs(300, 3, seeded(), size=25, roughness=0.0, dtype=f64)
    rows = [moments(psf) for psf in psfs[:, 0]]
    covariance = torch.tensor([[[a, c], [c, b]] for _, _, a, b, c in rows], dtype=f64)
    values = torch.linalg.eigvalsh(covariance)
    assert 0.3 < values.min() < 0.6
    assert 4.5 < values.max() < 5.05
