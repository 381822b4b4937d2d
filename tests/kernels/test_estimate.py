"""Kernels told by the picture alone."""

import math

import pytest
import torch
from torch import Tensor

from undegrade.degradations.estimated_blur import with_blur_told_by
from undegrade.degradations.flags import DegradationFlags
from undegrade.kernels.estimate import FAMILIES, estimate_kernel
from undegrade.kernels.evidence import kernel_evidence
from undegrade.kernels.formulas import disk_psf, motion_psf
from undegrade.operators.blur import Blur

STD = 0.01


def scene(size: int = 180, seed: int = 0) -> Tensor:
    """Opaque disks of all sizes: a natural spectrum and sharp edges, (1 1 size size)."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.arange(size)[:, None], torch.arange(size)[None]
    picture = torch.full((size, size), 0.5)
    for across, along, level, u in torch.rand(300, 4, generator=generator).tolist():
        radius = 2 / math.sqrt(u + 1e-3)
        inside = (rows - size * across) ** 2 + (columns - size * along) ** 2 < radius**2
        picture = torch.where(inside, level, picture)
    return picture[None, None]


def blurred(psf: Tensor, seed: int = 1) -> Tensor:
    y = Blur(psf, "valid")(scene())
    return y + STD * torch.randn(y.shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("radius", [2.3, 4.0])
def test_the_radius_of_a_disk_is_found(radius: float) -> None:
    found = estimate_kernel(blurred(disk_psf(radius)), "disk", STD)
    assert not found.doubt
    assert found.values[0] == pytest.approx(radius, rel=0.06)
    assert found.errors[0] < 0.1 * radius


def test_length_and_angle_of_a_motion_are_found_from_a_start() -> None:
    found = estimate_kernel(blurred(motion_psf(9.0, 30.0)), "motion", STD, (7.0, 45.0))
    length, angle = found.values
    assert not found.doubt and abs(length - 9) < 1.5 and abs(angle - 30) < 7


def test_the_picture_does_not_tell_what_it_does_not_show() -> None:
    noise = 0.5 + STD * torch.randn(1, 1, 120, 120, generator=torch.Generator().manual_seed(0))
    assert estimate_kernel(noise, "disk", STD).doubt
    assert estimate_kernel(scene(), "disk", STD).doubt


def test_evidence_is_blind_to_shift_and_contrast() -> None:
    y, psf = blurred(motion_psf(7.0, 0.0)), motion_psf(7.0, 0.0)
    shifted = torch.nn.functional.pad(psf, (4, 0, 0, 2))
    bright = kernel_evidence(y, [psf, shifted, disk_psf(3.0)], STD).total
    dim = kernel_evidence(y / 10, [psf, shifted, disk_psf(3.0)], STD / 10).total
    torch.testing.assert_close(bright[0], bright[1])
    assert bright[0] < bright[2]
    torch.testing.assert_close(bright.diff(), dim.diff(), rtol=1e-4, atol=1e-3)


def test_what_cannot_be_estimated_is_refused() -> None:
    y = torch.rand(1, 1, 64, 64)
    with pytest.raises(ValueError, match="a blur of disk, gaussian, motion"):
        estimate_kernel(y, "box", STD)
    with pytest.raises(ValueError, match="expected estimate:disk"):
        estimate_kernel(y, "disk", STD, (1.0, 2.0))
    with pytest.raises(ValueError, match="too small"):
        estimate_kernel(y[..., :9, :9], "disk", STD)
    with pytest.raises(ValueError, match="without downsample or mask"):
        with_blur_told_by(y, DegradationFlags(blur="estimate:disk", mask=0.5))
    with pytest.raises(ValueError, match="only `restore` takes it"):
        DegradationFlags(blur="estimate:disk").build((1, 64, 64))


def test_flags_receive_the_blur_that_was_found() -> None:
    y = blurred(disk_psf(3.0))
    flags, said = with_blur_told_by(
        y, DegradationFlags(blur="estimate:disk:4", noise="gaussian:0.01")
    )
    assert flags.blur is not None and flags.blur.startswith("disk:")
    assert float(flags.blur.partition(":")[2]) == pytest.approx(3.0, rel=0.06)
    assert "radius" in said
    assert set(FAMILIES) == {"disk", "gaussian", "motion"}
