"""What a JPEG file holds before rounding: cosine coefficients of 8×8 blocks."""

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from undegrade.core.gram import Gram
from undegrade.core.image import Image, round_up
from undegrade.core.operator import LinearOperator
from undegrade.operators.diagonal import Diagonal

SIDE = 8  # pixels of a block, as JPEG fixes it
# brightness and two color differences of red, green and blue: ITU-R BT.601, as JFIF takes it
_RED, _BLUE = 0.299, 0.114
LUMA = (_RED, 1 - _RED - _BLUE, _BLUE)
_CHROMA_BLUE = tuple((c - w) / (2 * (1 - _BLUE)) for c, w in zip((0, 0, 1), LUMA, strict=True))
_CHROMA_RED = tuple((c - w) / (2 * (1 - _RED)) for c, w in zip((1, 0, 0), LUMA, strict=True))
_MATRIX = (LUMA, _CHROMA_BLUE, _CHROMA_RED)
_SHARPENING = 12  # iterations that undo the overlap of enlarged chroma to 3 %


@final
class BlockTransform(LinearOperator):
    """x ↦ cosine coefficients of every 8×8 block of every plane, as one row (b, 1, 1, n).

    A gray picture has one plane; one of colors has its brightness and two color differences, which
    may be kept at half the size. Pictures whose sides are no multiples of a block are continued
    by their last row and column. On gray pictures of whole blocks the map is orthogonal.

    References:
        Wallace, The JPEG still picture compression standard (1992).

    Arguments:
        shape: channels (1 or 3), height and width of the pictures.
        subsampling: 2 where color differences have half the size, else 1.

    Raises:
        ValueError: other channels, or another subsampling.
    """

    def __init__(self, shape: tuple[int, int, int], subsampling: int = 1) -> None:
        super().__init__()
        if shape[0] not in (1, 3) or subsampling not in (1, 2):
            raise ValueError(
                f"JPEG is known here for 1 or 3 channels and color differences at full or half "
                f"size, got {shape[0]} channels and a subsampling of {subsampling}"
            )
        self.shape, self.subsampling = shape, subsampling if shape[0] == 3 else 1

    def extra_repr(self) -> str:
        return f"shape={self.shape}, subsampling={self.subsampling}"

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of every plane, continued to whole blocks."""
        channels, *sides = self.shape
        unit = SIDE * self.subsampling
        height, width = (round_up(n, unit) for n in sides)
        small = height // self.subsampling, width // self.subsampling
        return ((height, width), small, small)[:channels]

    def forward(self, x: Image) -> Tensor:
        return self._row([_cosine(plane) for plane in self._planes(x)])

    def adjoint(self, y: Tensor) -> Image:
        _, back, *_ = torch.func.vjp(self.forward, y.new_zeros(len(y), *self.shape))
        return back(y)[0]

    def initial(self, y: Tensor) -> Image:
        """The picture that a decoder makes of the coefficients: the inverse."""
        planes = [_cosine(plane, inverse=True) for plane in self.blocks(y)]
        height, width = self.shape[1:]
        if len(planes) == 1:
            return planes[0][..., :height, :width]
        bright, *colors = planes
        return self._of_planes(torch.cat([bright, *(self._enlarged(c) for c in colors)], 1))

    def right_inverse(self, row: Tensor) -> Image:
        """A picture of these coefficients, exactly for whole blocks: colors by repetition.

        What a decoder smooths between color differences (`initial`) changes their means.
        """
        bright, *colors = (_cosine(plane, inverse=True) for plane in self.blocks(row))
        height, width = self.shape[1:]
        if not colors:
            return bright[..., :height, :width]
        n = self.subsampling
        repeated = (c.repeat_interleave(n, -2).repeat_interleave(n, -1) for c in colors)
        return self._of_planes(torch.cat([bright, *repeated], 1))

    def mixed_variance(self, planes: Tensor) -> Tensor:
        """Of every channel, from that of every plane where they are independent, (b, planes)."""
        if self.shape[0] == 1:
            return planes
        return planes @ torch.linalg.inv(planes.new_tensor(_MATRIX)).square().T

    def _of_planes(self, full: Tensor) -> Image:
        height, width = self.shape[1:]
        inverse = torch.linalg.inv(full.new_tensor(_MATRIX))
        return torch.einsum("ij,bjhw->bihw", inverse, full)[..., :height, :width]

    def coefficients(self, decoded: Image) -> Tensor:
        """The coefficients that `initial` makes this picture of, up to its own rounding."""
        target = self._planes(decoded)
        planes = list(target)
        for _ in range(_SHARPENING if self.subsampling == 2 else 0):
            for i in (1, 2):
                again = functional.avg_pool2d(self._enlarged(planes[i]), 2)
                planes[i] = planes[i] + target[i] - again
        return self._row([_cosine(plane) for plane in planes])

    def blocks(self, row: Tensor) -> list[Tensor]:
        """The coefficients by plane, (b, 1, rows, columns), each block's at its place."""
        parts = row.flatten(1).split([h * w for h, w in self.sizes], 1)
        return [p.reshape(-1, 1, *size) for p, size in zip(parts, self.sizes, strict=True)]

    def tiled(self, tables: Sequence[Tensor]) -> Tensor:
        """One 8×8 table per plane, repeated for every block, as a row (1, 1, 1, n)."""
        planes = [
            table.reshape(1, 1, SIDE, SIDE).repeat(1, 1, h // SIDE, w // SIDE)
            for table, (h, w) in zip(tables, self.sizes, strict=True)
        ]
        return self._row(planes)

    @property
    def gram(self) -> Gram | None:
        """The identity, for gray pictures of whole blocks."""
        channels, height, width = self.shape
        if channels == 3 or height % SIDE or width % SIDE:
            return None
        return Diagonal(lambda x: x.new_ones(len(x), 1, 1, 1))

    def _planes(self, x: Image) -> list[Tensor]:
        (rows, columns), (height, width) = self.sizes[0], x.shape[-2:]
        whole = functional.pad(x, (0, columns - width, 0, rows - height), mode="replicate")
        if x.shape[1] == 1:
            return [whole]
        mixed = torch.einsum("ij,bjhw->bihw", x.new_tensor(_MATRIX), whole)
        bright, colors = mixed[:, :1], mixed[:, 1:]
        if self.subsampling == 2:
            colors = functional.avg_pool2d(colors, 2)
        return [bright, colors[:, :1], colors[:, 1:]]

    def _enlarged(self, plane: Tensor) -> Tensor:
        if self.subsampling == 1:
            return plane
        return functional.interpolate(plane, scale_factor=2.0, mode="bilinear", align_corners=False)

    def _row(self, planes: Sequence[Tensor]) -> Tensor:
        return torch.cat([p.flatten(1) for p in planes], 1)[:, None, None]


def _cosine(plane: Tensor, *, inverse: bool = False) -> Tensor:
    """The orthonormal cosine transform of every block, or its inverse."""
    n = torch.arange(SIDE, dtype=plane.dtype, device=plane.device)
    rows = torch.cos(math.pi * n[:, None] * (2 * n + 1) / (2 * SIDE)) * (2 / SIDE) ** 0.5
    rows = torch.where(n[:, None] == 0, SIDE**-0.5, rows)
    matrix = rows.T if inverse else rows
    split = plane.unflatten(-1, (-1, SIDE)).unflatten(-3, (-1, SIDE))  # b 1 R 8 K 8
    return (
        torch.einsum("ij,bcrjkl,ml->bcrikm", matrix, split, matrix).flatten(-4, -3).flatten(-2, -1)
    )
