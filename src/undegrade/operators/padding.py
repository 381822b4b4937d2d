"""Continuing an image past its border, and the exact adjoint: folding the margin back."""

from typing import Literal

import torch
from torch import Tensor

from undegrade.core.image import Image

Boundary = Literal["periodic", "replicate", "reflect", "symmetric", "zero", "valid"]
"""What lies past the border: the other side, the last pixel, the mirror image (`reflect` without
the last pixel, `symmetric` with it), black, or nothing (`valid`: only pixels whose surroundings are
all known remain)."""


def pad(x: Image, margin: tuple[int, int], boundary: Boundary) -> Tensor:
    """Add `margin` rows above and below and columns left and right; `valid` adds none."""
    for dim, m in zip((-2, -1), margin, strict=True):
        x = _pad_axis(x, m, dim, boundary)
    return x


def fold(y: Image, margin: tuple[int, int], boundary: Boundary) -> Tensor:
    """Transpose of `pad`: what the margin received goes back to the pixels that it came from.

    In the memory of y, of which the result is a part.
    """
    for dim, m in zip((-2, -1), margin, strict=True):
        y = _fold_axis(y, m, dim, boundary)
    return y


def _pad_axis(x: Tensor, m: int, dim: int, boundary: Boundary) -> Tensor:
    if m == 0 or boundary == "valid":
        return x
    n = x.shape[dim]
    first, last = x.narrow(dim, 0, 1), x.narrow(dim, n - 1, 1)
    size = list(x.shape)
    size[dim] = m
    match boundary:
        case "periodic":
            before, after = x.narrow(dim, n - m, m), x.narrow(dim, 0, m)
        case "replicate":
            before, after = first.expand(size), last.expand(size)
        case "reflect":
            before = x.narrow(dim, 1, m).flip(dim)
            after = x.narrow(dim, n - 1 - m, m).flip(dim)
        case "symmetric":
            before, after = x.narrow(dim, 0, m).flip(dim), x.narrow(dim, n - m, m).flip(dim)
        case "zero":
            before = after = torch.zeros_like(first).expand(size)
    return torch.cat((before, x, after), dim)


def _fold_axis(y: Tensor, m: int, dim: int, boundary: Boundary) -> Tensor:
    if m == 0 or boundary == "valid":
        return y
    n = y.shape[dim] - 2 * m
    x = y.narrow(dim, m, n)
    before, after = y.narrow(dim, 0, m), y.narrow(dim, m + n, m)
    match boundary:
        case "periodic":
            return _added(x, dim, (n - m, before), (0, after))
        case "replicate":
            return _added(x, dim, (0, before.sum(dim, True)), (n - 1, after.sum(dim, True)))
        case "reflect":
            return _added(x, dim, (1, before.flip(dim)), (n - 1 - m, after.flip(dim)))
        case "symmetric":
            return _added(x, dim, (0, before.flip(dim)), (n - m, after.flip(dim)))
        case "zero":
            return x


def _added(x: Tensor, dim: int, *strips: tuple[int, Tensor]) -> Tensor:
    """x with each strip added from its start on."""
    for start, strip in strips:
        x.narrow(dim, start, strip.shape[dim]).add_(strip)
    return x
