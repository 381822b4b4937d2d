"""Where the middle of a kernel is, and room around it."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Position = Literal["center", "given"]
"""The middle entry of a kernel: its center of mass, or the entry that was given."""

_NOTHING = 1e-4  # of a kernel's sum: rows and columns with less at its rim are taken off


def positioned(kernel: Float[Tensor, "b c kh kw"], position: Position, margin: int) -> Tensor:
    """The kernel with its middle where it is wanted, without empty rim, and with room to grow.

    A shift by parts of a pixel is linear interpolation.

    Arguments:
        kernel: of positive sum, odd sizes.
        position: where its middle is.
        margin: rows and columns of zeros on each side.
    """
    if position == "center":
        far = max(kernel.shape[-2:]) // 2
        kernel = functional.pad(kernel, (far, far, far, far))
        for dim in (-2, -1):
            kernel = _shifted(kernel, -center_of_mass(kernel, dim), dim)
        kernel = trimmed(kernel)
    return functional.pad(kernel, (margin, margin, margin, margin))


def center_of_mass(kernel: Tensor, dim: int) -> Float[Tensor, "b"]:
    """How far it is from the middle entry along a dimension, in pixels; channels together."""
    n = kernel.shape[dim]
    line = kernel.sum((1, -1 if dim == -2 else -2))
    place = torch.arange(n, dtype=kernel.dtype, device=kernel.device) - n // 2
    return (line * place).sum(1) / line.sum(1)


def _shifted(kernel: Tensor, by: Tensor, dim: int) -> Tensor:
    moved = [_shifted_one(k, float(s), dim) for k, s in zip(kernel, by, strict=True)]
    return torch.stack(moved)


def _shifted_one(kernel: Tensor, by: float, dim: int) -> Tensor:
    whole = math.floor(by + 1e-6)
    part = max(by - whole, 0.0)
    return (1 - part) * kernel.roll(whole, dim) + part * kernel.roll(whole + 1, dim)


def trimmed(kernel: Float[Tensor, "b c kh kw"]) -> Tensor:
    """Without a rim that is as good as empty, the middle in place."""
    for dim in (-2, -1):
        n = kernel.shape[dim]
        line = kernel.abs().sum((1, -1 if dim == -2 else -2))
        filled = (line > _NOTHING * line.sum(1, keepdim=True)).any(0)
        reach = int((filled.nonzero() - n // 2).abs().max())
        kernel = kernel.narrow(dim, n // 2 - reach, 2 * reach + 1)
    return kernel.contiguous()


def unit_sum(kernel: Tensor) -> Tensor:
    """Every channel divided by its sum."""
    return kernel / kernel.sum((-2, -1), keepdim=True)
