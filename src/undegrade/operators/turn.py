"""The eight ways to lay a picture down: mirrored, turned upside down, on its side."""

from typing import final

from torch import Tensor

from undegrade.core.image import Image
from undegrade.core.operator import LinearOperator

_ROWS, _COLUMNS = -2, -1


@final
class Turn(LinearOperator):
    """x ↦ x with rows or columns in reverse, and then rows and columns exchanged.

    A permutation of pixels, so that Aᵀ is A⁻¹. `A @ turn` is A for turned pictures: it turns the
    kernel, the mask or whatever else A has, and so any operator can be turned.

    Arguments:
        rows: whether the first row becomes the last.
        columns: whether the first column becomes the last.
        transposed: whether rows then become columns.
    """

    def __init__(
        self, *, rows: bool = False, columns: bool = False, transposed: bool = False
    ) -> None:
        super().__init__()
        reverse = {_ROWS: rows, _COLUMNS: columns}
        self.reverse = [dim for dim, wanted in reverse.items() if wanted]
        self.transposed = transposed

    def extra_repr(self) -> str:
        return f"reverse={self.reverse}, transposed={self.transposed}"

    def forward(self, x: Image) -> Tensor:
        x = x.flip(self.reverse)
        return x.transpose(_ROWS, _COLUMNS) if self.transposed else x

    def adjoint(self, y: Tensor) -> Image:
        y = y.transpose(_ROWS, _COLUMNS) if self.transposed else y
        return y.flip(self.reverse)

    def initial(self, y: Tensor) -> Image:
        return self.adjoint(y)

    def lost(self, y: Tensor) -> None:
        """Every entry sees the image."""


TURNS = tuple(
    Turn(rows=rows, columns=columns, transposed=transposed)
    for transposed in (False, True)
    for rows in (False, True)
    for columns in (False, True)
)
"""All eight; the first 1, 2, 4 and 8 are closed under composition."""
