"""Weighted Laplacians, nearly solved by one cycle over grids of half the size each."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from undegrade.core.image import Image
from undegrade.linear_algebra.conjugate_gradient import Map

_LEVELS = 4  # squares of 8 × 8 pixels are the last: beyond, the shift is most of the matrix
_DAMPING = 0.8  # of Jacobi's iteration: what smooths a five-point Laplacian best is 4/5
_SPACING = 2  # of two coarse pixels in fine ones, so that an edge between them pulls half as much


class _Grid(NamedTuple):
    """A matrix of five points: its diagonal, and minus what lies below and to the right."""

    diagonal: Tensor
    down: Tensor
    right: Tensor

    def residual(self, r: Image, x: Image) -> Image:
        """The difference of r and this matrix times x."""
        left = torch.addcmul(r, self.diagonal, x, value=-1)
        left[..., 1:, :].addcmul_(self.down, x[..., :-1, :])
        left[..., :-1, :].addcmul_(self.down, x[..., 1:, :])
        left[..., 1:].addcmul_(self.right, x[..., :-1])
        left[..., :-1].addcmul_(self.right, x[..., 1:])
        return left


def shifted_laplacian(shift: Image, weight: Tensor) -> Map:
    """r ↦ about (diag(shift) + ∇ᵀ diag(weight) ∇)⁻¹ r, symmetric and positive: one V-cycle.

    Jacobi's iteration before and after a coarser grid, where squares of 2 × 2 pixels are one, their
    shifts added, and edges between squares added and halved, as the distance has doubled. What this
    leaves does not grow with the size of the picture, nor with the contrast of the weights as long
    as regions of like weight are some pixels wide. Its cost is some twenty additions of pictures.

    References:
        Trottenberg, Oosterlee and Schüller, Multigrid (2001), sections 2.1 and 2.4. Braess, Towards
        algebraic multigrid for elliptic problems of second order (1995), for the halved edges.

    Arguments:
        shift: > 0, one per pixel, (b, c, h, w).
        weight: ≥ 0, one per difference as `FiniteDifference` takes them, (b, c | 1, 2 | 1, h, w).
    """
    down, right = weight[:, :, 0, :-1], weight[:, :, -1, :, :-1]
    grids = [_grid(shift, down, right)]
    while len(grids) < _LEVELS and max(shift.shape[-2:]) >= 2 * _SPACING:
        shift = _sums(shift)
        down = _halved(down[..., 1::2, :])
        right = _halved(right[..., 1::2].mT).mT
        grids.append(_grid(shift, down, right))
    return lambda r: _cycle(grids, r)


def _grid(shift: Image, down: Tensor, right: Tensor) -> _Grid:
    diagonal = shift.clone()
    diagonal[..., 1:, :] += down
    diagonal[..., :-1, :] += down
    diagonal[..., 1:] += right
    diagonal[..., :-1] += right
    return _Grid(diagonal, down, right)


def _cycle(grids: list[_Grid], r: Image) -> Image:
    grid, *coarser = grids
    x = _DAMPING * r / grid.diagonal
    if not coarser:
        return x
    below = _cycle(coarser, _sums(grid.residual(r, x)))
    x += below.repeat_interleave(2, -2).repeat_interleave(2, -1)[..., : r.shape[-2], : r.shape[-1]]
    return x.addcdiv_(grid.residual(r, x), grid.diagonal, value=_DAMPING)


def _halved(edges: Tensor) -> Tensor:
    """Those between two rows of squares: sums of two columns each, over the distance."""
    if not edges.numel():  # of a single row: pooling refuses them
        return edges[..., ::2]
    return avg_pool2d(edges, (1, 2), ceil_mode=True, divisor_override=_SPACING)


def _sums(x: Image) -> Tensor:
    """Over squares of 2 × 2 pixels, cut off at the far borders."""
    return avg_pool2d(x, 2, ceil_mode=True, divisor_override=1)
