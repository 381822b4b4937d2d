"""Kernels as people have them: the same kernel in many disguises."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from undegrade.degradations.flags import DegradationFlags
from undegrade.degradations.kernel_file import read_kernel, read_kernel_file
from undegrade.degradations.kernel_repair import repaired, within
from undegrade.kernels.formulas import disk_psf, gaussian_psf, motion_psf

DISK = disk_psf(3.0).double().numpy()  # 7×7
LINE = motion_psf(9.0, 30.0).double().numpy()


def framed(kernel: np.ndarray, height: int, width: int, row: int, column: int) -> np.ndarray:
    """The kernel in a wide black frame, its middle at a row and a column."""
    wide = np.zeros((height, width))
    h, w = kernel.shape
    wide[row - h // 2 : row - h // 2 + h, column - w // 2 : column - w // 2 + w] = kernel
    return wide


def corner(kernel: np.ndarray, side: int) -> np.ndarray:
    return np.fft.ifftshift(framed(kernel, side, side, side // 2, side // 2))


def assert_is(found: torch.Tensor, kernel: np.ndarray, tolerance: float = 1e-6) -> None:
    assert found.shape == kernel.shape
    np.testing.assert_allclose(found.numpy(), kernel, atol=tolerance)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (DISK, ""),
        (framed(DISK, 64, 80, 32, 40), "a side is even"),
        (framed(DISK, 63, 81, 31, 40), ""),
        (corner(DISK, 64), "centered in its corner"),
        (corner(DISK, 63), "centered in its corner"),
        (np.fft.fft2(corner(DISK, 64)), "it is a transfer function"),
        (np.fft.fft2(framed(DISK, 31, 31, 15, 15)), "it is a transfer function"),
        (DISK + 0j, ""),
        (255 * DISK, "sums to 255"),
        (0.2 + framed(DISK, 31, 31, 15, 15), "background"),
    ],
)
def test_numbers_become_the_kernel_that_was_meant(values: np.ndarray, said: str) -> None:
    found = repaired(values, photographed=False)
    assert_is(found.kernel, DISK)
    assert said in "; ".join(found.notes)
    assert bool(found.notes) == bool(said)


def test_what_nobody_has_to_mend_stays() -> None:
    box, truncated = np.full((9, 9), 1 / 81), gaussian_psf(4.0, 9).double().numpy()
    lobes = np.outer(LOBE := np.array([-0.1, 0.2, 0.8, 0.2, -0.1]), LOBE)
    for kernel in (box, truncated, lobes, LINE, np.ones((1, 1))):
        found = repaired(kernel, photographed=False)
        assert_is(found.kernel, kernel)
        assert found.notes == ()


def test_an_even_kernel_has_its_middle_after_its_half() -> None:
    found = repaired(np.full((4, 4), 1 / 16), photographed=False)
    assert_is(found.kernel, np.pad(np.full((4, 4), 1 / 16), ((0, 1), (0, 1))))
    assert "row 2, column 2 (from 0) is taken for its middle" in found.notes[0]


@pytest.mark.parametrize("inverted", [False, True])
def test_a_photographed_star_on_sky_or_in_negative(tmp_path: Path, inverted: bool) -> None:
    rng = np.random.default_rng(0)
    star = framed(LINE, 60, 70, 22, 41)
    sky = 30 + 200 * star / star.max() + rng.standard_normal(star.shape)
    Image.fromarray((255 - sky if inverted else sky).round().astype(np.uint8)).save(
        tmp_path / "k.png"
    )
    found = read_kernel_file(str(tmp_path / "k.png"))
    said = "; ".join(found.notes)
    assert ("this looks inverted" in said) == inverted
    assert ("background" in said) == (not inverted)
    assert "centered about row 22, column 41" in said
    assert float((found.kernel.sum() - 1).abs()) < 1e-6
    half = (found.kernel.shape[0] // 2, found.kernel.shape[1] // 2)
    there = framed(LINE, 61, 71, 30, 35)
    here = framed(found.kernel.numpy(), 61, 71, 30, 35) if half < (30, 35) else found.kernel
    assert np.abs(here - there).sum() < 0.05


def test_colors_that_differ_keep_a_kernel_each(tmp_path: Path) -> None:
    planes = np.stack([framed(k, 9, 9, 4, 4) for k in (DISK, DISK, gaussian_psf(1.0).numpy())], -1)
    np.save(tmp_path / "k.npy", planes)
    kernel = read_kernel(str(tmp_path / "k.npy"))
    assert kernel.shape == (3, 7, 7)
    torch.testing.assert_close(kernel.sum((1, 2)), torch.ones(3))
    built = DegradationFlags(blur=str(tmp_path / "k.npy")).build((1, 32, 32))
    assert built.blur is not None
    assert built.blur.psf.shape == (7, 7)
    assert "the picture is gray: their mean" in built.notes[-1]
    np.save(tmp_path / "k.npy", planes[..., :1].repeat(3, -1))
    assert read_kernel(str(tmp_path / "k.npy")).shape == (7, 7)


def test_a_kernel_wider_than_the_picture_is_cut(tmp_path: Path) -> None:
    wide = gaussian_psf(8.0, 51)
    cut, notes = within(wide, (40, 31))
    assert cut.shape == (39, 31)
    assert float(cut.sum()) == pytest.approx(1)
    assert "cut to 39×31, which loses 6.38%" in notes[0]
    with pytest.raises(
        ValueError, match=r"larger than the image of 5×5 pixels, and .* lie outside"
    ):
        within(wide, (5, 5))
    np.save(tmp_path / "k.npy", wide.numpy())
    assert DegradationFlags(blur=str(tmp_path / "k.npy")).build((3, 40, 31)).blur is not None


def test_several_kernels_and_none_asked_for(tmp_path: Path) -> None:
    np.savez(tmp_path / "k.npz", a=DISK, b=LINE)
    found = read_kernel_file(str(tmp_path / "k.npz"))
    assert_is(found.kernel, DISK)
    assert "the first of 2 is taken" in found.notes[0]
    assert_is(read_kernel(f"{tmp_path / 'k.npz'}:2"), LINE)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((5, 5)), "all black"),
        (np.array([[1.0, np.nan, 0]]), "not finite"),
        (np.array([[1.0, -2.0, 0.5]]), "positive sum"),
        (np.array([[1, 2j], [3, 4j]]), "no transform of a real kernel"),
        (np.ones(5), "rows and columns"),
    ],
)
def test_what_cannot_be_a_kernel_is_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        repaired(values, photographed=False)
