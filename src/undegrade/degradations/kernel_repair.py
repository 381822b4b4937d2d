"""Kernels as people have them: what was meant, as a kernel with its middle in the middle."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_FLAT = 0.1  # of the height above it: what varies less around a kernel is background
_SOME = 0.01  # of the peak: less background than that does not matter
_LEAST_FRAMED = 7  # pixels a side of a kernel that can have background around it
_NOISE = 3.0  # deviations of the background below which an entry is background
_MAD = 1.4826  # of normal noise: its deviation over its median absolute one
_ALL = 0.9  # of the mass: what has that much in its inner half lies there
_OFF = 1.5  # pixels by which the center of a photographed kernel may miss the middle
_EMPTY = 1e-6  # of the peak: what is less may be cut off around
_UNIT = 0.01  # by which the sum of a kernel may miss 1 by rounding
_REAL = 1e-3  # of a transform: what its imaginary part may be for numbers that are real


class Repaired(NamedTuple):
    """A kernel of odd sides and sum 1, (h w) or (c h w), and what was done to make it one."""

    kernel: Tensor
    notes: tuple[str, ...]


def repaired(values: NDArray[np.generic], *, photographed: bool) -> Repaired:
    """A kernel from an array (h w) or (c h w).

    A transfer function is transformed back; dark on bright is inverted; flat background is
    subtracted; what is centered in the corner, as transforms want it, is moved to the middle; an
    even side gets its middle after its half; the sum becomes 1.

    Arguments:
        values: real or complex.
        photographed: whether it has no scale and was not placed with care: it is centered about
            its center of mass.

    Raises:
        ValueError: it cannot be a kernel.
    """
    notes = list[str]()
    kernel = torch.from_numpy(np.array(_real(np.asarray(values), notes), np.float64))
    if kernel.ndim not in (2, 3) or kernel.numel() == 0:
        raise ValueError(f"a kernel has rows and columns, got the shape {tuple(kernel.shape)}")
    if not bool(kernel.isfinite().all()):
        raise ValueError("it has numbers that are not finite")
    if not bool(kernel.any()):
        raise ValueError("it is all black")
    kernel = _framed(kernel, notes)
    kernel = _centered(kernel, notes, photographed=photographed)
    total = kernel.sum((-2, -1), keepdim=True)
    if not bool((total > 1e-3 * kernel.abs().sum((-2, -1), keepdim=True)).all()):
        raise ValueError(f"a kernel has a positive sum, got {total.flatten()[0].item():.4g}")
    if not photographed and not notes and bool(((total - 1).abs() > _UNIT).any()):
        notes.append(f"it sums to {total.flatten()[0].item():.4g}: divided by that")
    return Repaired((kernel / total).float(), tuple(notes))


def within(kernel: Tensor, size: tuple[int, int]) -> Repaired:
    """A kernel that is no larger than a picture of a size: what reaches further is cut off."""
    height, width = (min(k, n - 1 + n % 2) for k, n in zip(kernel.shape[-2:], size, strict=True))
    if (height, width) == tuple(kernel.shape[-2:]):
        return Repaired(kernel, ())
    top, left = (kernel.shape[-2] - height) // 2, (kernel.shape[-1] - width) // 2
    cut = kernel[..., top : top + height, left : left + width]
    share = 1 - (cut.abs().sum() / kernel.abs().sum()).item()
    if share > 1 - _ALL:
        raise ValueError(
            f"the kernel of {kernel.shape[-2]}×{kernel.shape[-1]} is larger than the image of "
            f"{size[0]}×{size[1]} pixels, and {share:.0%} of it lie outside"
        )
    note = f"it is larger than the picture: cut to {height}×{width}, which loses {share:.2%} of it"
    return Repaired(cut / cut.sum((-2, -1), keepdim=True), (note,))


def _real(values: NDArray[np.generic], notes: list[str]) -> NDArray[np.generic]:
    if not np.iscomplexobj(values):
        return values
    size = np.abs(values).max(initial=0)
    real = np.abs(values.imag).max(initial=0) <= _REAL * size
    if real and not _passes_the_mean(values.real):
        return values.real
    back = np.fft.ifft2(values)
    if np.abs(back.imag).max() > _REAL * np.abs(back).max():
        raise ValueError("it has complex numbers, and is no transform of a real kernel")
    notes.append("it is a transfer function: transformed back")
    return back.real


def _passes_the_mean(values: NDArray[np.generic]) -> bool:
    """Whether the first entry is 1 and the sum is not: of a symmetric kernel the transform."""
    first, total = float(values.flat[0]), float(values.sum())
    return abs(first - 1) < _UNIT < abs(total - 1)


def _framed(kernel: Tensor, notes: list[str]) -> Tensor:
    """Bright on black, from dark on bright or from a background."""
    if min(kernel.shape[-2:]) < _LEAST_FRAMED:
        return kernel
    gray = kernel.reshape(-1, *kernel.shape[-2:]).mean(0)
    frame = torch.cat([_ring(gray, 0), _ring(gray, 1)])
    ground = frame.median()
    rise, fall = gray.max() - ground, ground - gray.min()
    noise = _MAD * (frame - ground).abs().median()
    if noise > _FLAT * torch.maximum(rise, fall):
        return kernel
    if fall > 2 * rise:
        notes.append("this looks inverted, dark on bright: turned around")
    elif ground > _SOME * gray.max() and rise > 0:
        notes.append(f"background of {(ground / gray.max()).item():.2g} of its peak subtracted")
    else:
        return kernel
    frames = torch.cat([_ring(kernel, 0), _ring(kernel, 1)], -1)
    level = frames.median(-1).values[..., None, None]
    risen = level - kernel if fall > 2 * rise else kernel - level
    return torch.where(risen > _NOISE * noise, risen, 0.0)


def _ring(kernel: Tensor, depth: int) -> Tensor:
    """The entries of a kernel that are so far from its border."""
    end = -1 - depth
    h, w = kernel.shape[-2:]
    inner = slice(depth, w - depth), slice(depth + 1, h - depth - 1)
    sides = kernel[..., depth, inner[0]], kernel[..., end, inner[0]]
    return torch.cat([*sides, kernel[..., inner[1], depth], kernel[..., inner[1], end]], -1)


def _centered(kernel: Tensor, notes: list[str], *, photographed: bool) -> Tensor:
    h, w = kernel.shape[-2:]
    shifted = kernel.roll((h // 2, w // 2), (-2, -1))
    middle = h // 2, w // 2
    if _inner(kernel) < 1 - _ALL and _inner(shifted) > _ALL:
        notes.append("it is centered in its corner: moved to the middle")
        kernel = shifted
    elif photographed:
        mass = kernel.reshape(-1, h, w).abs().sum(0)
        row = (mass.sum(1) * torch.arange(h)).sum() / mass.sum()
        column = (mass.sum(0) * torch.arange(w)).sum() / mass.sum()
        if max(abs(row - (h - 1) / 2), abs(column - (w - 1) / 2)) > _OFF:
            middle = round(row.item()), round(column.item())
            notes.append(f"it is off its middle: centered about row {middle[0]}, "
                         f"column {middle[1]} (from 0)")  # fmt: skip
    if h % 2 == 0 or w % 2 == 0:
        notes.append(f"a side is even ({h}×{w}): row {middle[0]}, column {middle[1]} (from 0) is "
                     f"taken for its middle")  # fmt: skip
    return _around(kernel, *middle)


def _inner(kernel: Tensor) -> float:
    """The part of the mass in the inner half of the rows and columns."""
    h, w = kernel.shape[-2:]
    inner = kernel[..., h // 4 : h - h // 4, w // 4 : w - w // 4]
    return (inner.abs().sum() / kernel.abs().sum()).item()


def _around(kernel: Tensor, row: int, column: int) -> Tensor:
    """The kernel with one entry in its middle, without what is empty around it."""
    h, w = kernel.shape[-2:]
    some = kernel.reshape(-1, h, w).abs().amax(0) > _EMPTY * kernel.abs().max()
    rows, columns = some.any(1).nonzero().flatten(), some.any(0).nonzero().flatten()
    down = int((rows - row).abs().max())
    across = int((columns - column).abs().max())
    wide = torch.nn.functional.pad(kernel, (across, across, down, down))
    return wide[..., row : row + 2 * down + 1, column : column + 2 * across + 1].contiguous()
