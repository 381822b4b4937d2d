"""A cell applied piece by piece, for pictures whose feature maps would not fit in memory."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from undegrade.core.image import round_up


@runtime_checkable
class LocalCell(Protocol):
    """A cell whose every output depends on a neighborhood only.

    `reach` is its radius in pixels; `divisor` the grid on which pieces must begin, and `stride` how
    many pixels an entry of the hidden state stands for.
    """

    reach: int
    divisor: int
    stride: int

    def __call__(self, features: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]: ...


class TiledCell(nn.Module):
    """The same (features, hidden) ↦ (update, hidden), computed on overlapping tiles.

    Each tile sees as much around it as the cell can see, so that the result is that of the whole,
    to rounding. Memory for feature maps is that of one tile; what remains is the features and the
    hidden state themselves, about 200 bytes per pixel for `MultiscaleCell`.

    Good values:
        tile 512: a quarter more work than the whole.

    Arguments:
        cell: what is applied.
        tile: side length in pixels, rounded up to what the cell divides.

    Raises:
        ValueError: a tile of no pixel.
    """

    def __init__(self, cell: LocalCell, tile: int) -> None:
        super().__init__()
        if tile < 1:
            raise ValueError(f"expected tiles of at least one pixel, got a side of {tile}")
        self.cell = cell
        self.tile = round_up(tile, cell.divisor)
        self.overlap = round_up(cell.reach, cell.divisor)

    def forward(self, features: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
        """One step."""
        h, w = features.shape[-2:]
        if max(h, w) <= self.tile:
            return self.cell(features, hidden)
        rows = [
            [self._piece(features, hidden, i, j) for j in range(0, w, self.tile)]
            for i in range(0, h, self.tile)
        ]
        update, state = (
            torch.cat([torch.cat([piece[k] for piece in row], -1) for row in rows], -2)
            for k in range(2)
        )
        return update, state

    def _piece(
        self, features: Tensor, hidden: Tensor | None, i: int, j: int
    ) -> tuple[Tensor, Tensor]:
        """The tile whose first pixel is (i, j)."""
        top, left = max(0, i - self.overlap), max(0, j - self.overlap)
        end = i + self.tile + self.overlap, j + self.tile + self.overlap
        s = self.cell.stride
        if hidden is not None:
            hidden = hidden[..., top // s : end[0] // s, left // s : end[1] // s]
        update, state = self.cell(features[..., top : end[0], left : end[1]], hidden)
        i, j = i - top, j - left
        return (
            update[..., i : i + self.tile, j : j + self.tile],
            state[..., i // s : (i + self.tile) // s, j // s : (j + self.tile) // s],
        )
