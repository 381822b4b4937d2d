"""Point spread functions with a formula: Gaussian, disk, line."""

import math

import torch
from torch import Tensor

_FINE = 16  # sub-pixels per side: an edge pixel's coverage is right to about 1 %


def gaussian_psf(
    std: float | tuple[float, float],
    size: int | None = None,
    angle: float = 0.0,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """exp(−½ zᵀΣ⁻¹z) on the pixel grid, normalized to sum 1.

    Arguments:
        std: standard deviation in pixels, or (along the angle, across it).
        size: odd number of rows and columns; by default three standard deviations on each side.
        angle: direction of the first axis in degrees, counter-clockwise from the horizontal.
        dtype: of the result, shape (size size).

    Raises:
        ValueError: a standard deviation that is not positive; a size that is even or below 1.
    """
    along, across = std if isinstance(std, tuple) else (std, std)
    if min(along, across) <= 0:
        raise ValueError(f"the standard deviation of a Gaussian kernel is positive, got {std}")
    size = 2 * math.ceil(3 * max(along, across)) + 1 if size is None else size
    if size < 1 or size % 2 == 0:
        raise ValueError(f"the size of a kernel is odd and positive, got {size}")
    u, v = _turned(_grid(size), angle)
    return _normalized(torch.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2))).to(dtype)


def disk_psf(radius: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """A uniform disk, each pixel weighted by how much of it is covered: defocus.

    Arguments:
        radius: in pixels, positive.
        dtype: of the result, shape (k k) with k the smallest odd size that holds the disk.

    Raises:
        ValueError: a radius that is not positive.
    """
    if not radius > 0:
        raise ValueError(f"the radius of a disk kernel is positive, got {radius}")
    size = 2 * max(0, math.ceil(radius - 0.5)) + 1
    y, x = _sub_pixels(size)
    return _coverage(x**2 + y**2 <= radius**2, dtype)


def motion_psf(length: float, angle: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """A line one pixel wide, each pixel weighted by how much of it is covered: steady motion.

    Arguments:
        length: in pixels, 1 or more.
        angle: direction in degrees, counter-clockwise from the horizontal.
        dtype: of the result; the shape is the smallest odd (kh kw) that holds the line.

    Raises:
        ValueError: a length below 1.
    """
    if not length >= 1:
        raise ValueError(f"the length of a motion is 1 pixel or more, got {length}")
    size = 2 * math.ceil((length - 1) / 2 + 0.5) + 1
    u, v = _turned(_sub_pixels(size), angle)
    return _trimmed(_coverage((u.abs() <= length / 2) & (v.abs() <= 0.5), dtype))


def _grid(size: int, step: float = 1.0) -> tuple[Tensor, Tensor]:
    """Rows and columns of points, the middle one at 0."""
    line = (torch.arange(size, dtype=torch.float64) - (size - 1) / 2) * step
    return line[:, None], line[None, :]


def _sub_pixels(size: int) -> tuple[Tensor, Tensor]:
    return _grid(size * _FINE, 1 / _FINE)


def _turned(grid: tuple[Tensor, Tensor], angle: float) -> tuple[Tensor, Tensor]:
    """Coordinates along and across a direction. Rows grow downward, angles counter-clockwise."""
    (y, x), radians = grid, math.radians(angle)
    cos, sin = math.cos(radians), math.sin(radians)
    return x * cos - y * sin, x * sin + y * cos


def _coverage(inside: Tensor, dtype: torch.dtype) -> Tensor:
    fraction = torch.nn.functional.avg_pool2d(inside[None].double(), _FINE)[0]
    return _normalized(fraction).to(dtype)


def _normalized(psf: Tensor) -> Tensor:
    return psf / psf.sum()


def _trimmed(psf: Tensor) -> Tensor:
    """Without empty rows and columns around, symmetrically, so that the middle stays."""
    rows, columns = (int((psf.sum(dim) > 0).nonzero()[0]) for dim in (1, 0))
    return psf[rows : psf.shape[0] - rows, columns : psf.shape[1] - columns].contiguous()
