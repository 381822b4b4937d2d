"""A cell applied piece by piece, for pictures whose feature maps would not fit in memory."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from undegrade.core.image import round_up
from undegrade.networks.spans import Span, spans


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
        sides = (round_up(side, self.cell.divisor) for side in features.shape[-2:])  # as hidden has
        down, across = (spans(side, self.tile, self.overlap) for side in sides)
        if len(down) == len(across) == 1:
            return self.cell(features, hidden)
        rows = [[self._piece(features, hidden, row, column) for column in across] for row in down]
        update, state = (
            torch.cat([torch.cat([piece[k] for piece in row], -1) for row in rows], -2)
            for k in range(2)
        )
        return update, state

    def _piece(
        self, features: Tensor, hidden: Tensor | None, row: Span, column: Span
    ) -> tuple[Tensor, Tensor]:
        """What is kept of one tile."""
        if hidden is not None:
            hidden = hidden[..., *_at(row.shown, column.shown, self.cell.stride)]
        update, state = self.cell(features[..., row.shown, column.shown], hidden)
        kept = row.inside, column.inside
        return update[..., *kept], state[..., *_at(*kept, self.cell.stride)]


def _at(rows: slice, columns: slice, stride: int) -> tuple[slice, slice]:
    """The entries of a hidden state that stand for these pixels."""
    rows, columns = (slice(s.start // stride, s.stop // stride) for s in (rows, columns))
    return rows, columns
