"""JPEG compression as a degradation: which coefficients were rounded to which steps."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from PIL import Image as Picture
from torch import Tensor

from undegrade.core.image import Image
from undegrade.core.likelihood import NoiseModel
from undegrade.likelihoods.rounded import Rounded
from undegrade.likelihoods.rounding import rounded, rounding_std
from undegrade.operators.block_transform import SIDE, BlockTransform

# the tables of Annex K of the standard, which quality scales, row by row
_BRIGHT = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113,
    92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_COLORS = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99, *(99,) * 32,
)  # fmt: skip
_LEVELS = 255.0
_MIDDLE = 128 / _LEVELS * SIDE  # what a decoder adds to the mean of a block of brightness


@final
@dataclass(frozen=True)
class Jpeg:
    """The steps that a JPEG file rounds cosine coefficients to.

    Arguments:
        tables: 64 steps in gray levels of 8 bits, row by row, for brightness and for color
            differences.
        subsampling: 2 where color differences have half the size, else 1.

    Raises:
        ValueError: no such tables, or another subsampling.
    """

    tables: tuple[tuple[int, ...], tuple[int, ...]]
    subsampling: int = 2

    def __post_init__(self) -> None:
        if self.subsampling not in (1, 2):
            raise ValueError(f"the subsampling of a JPEG is 1 or 2 here, got {self.subsampling}")
        for table in self.tables:
            if len(table) != SIDE**2 or not all(1 <= step <= 65535 for step in table):
                raise ValueError(f"a JPEG table has 64 steps from 1 to 65535, got {table}")

    @classmethod
    def of_quality(cls, quality: int, subsampling: int = 2) -> "Jpeg":
        """The tables that the usual encoder takes for a quality from 1 to 100.

        Raises:
            ValueError: another quality.
        """
        if not 1 <= quality <= 100:
            raise ValueError(f"the quality of a JPEG lies from 1 to 100, got {quality}")
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        bright, colors = (
            tuple(min(max((step * scale + 50) // 100, 1), 255) for step in table)
            for table in (_BRIGHT, _COLORS)
        )
        return cls((bright, colors), subsampling)

    @classmethod
    def of_file(cls, path: str | Path) -> "Jpeg":
        """The tables and the subsampling in a JPEG file.

        Raises:
            OSError: there is no such file.
            ValueError: it is no JPEG, or its color differences have another size.
        """
        try:
            with Picture.open(path) as picture:
                tables = getattr(picture, "quantization", None)
                layers = getattr(picture, "layer", ())
        except (Picture.UnidentifiedImageError, SyntaxError) as error:
            raise ValueError(f"{path} is no JPEG file") from error
        if not tables:
            raise ValueError(f"{path} is no JPEG file: it has no tables of steps")
        first, *others = (tuple(int(step) for step in tables[k]) for k in sorted(tables))
        factors = {(layer[1], layer[2]) for layer in layers[:1]} or {(1, 1)}
        if factors - {(1, 1), (2, 2)}:
            raise ValueError(f"the color differences of {path} have neither full nor half size")
        return cls((first, others[0] if others else first), max(max(factors)))

    def transform(self, shape: tuple[int, int, int]) -> BlockTransform:
        """From pictures of a shape to the coefficients that are rounded."""
        return BlockTransform(shape, self.subsampling)

    def compressed(self, y: Image) -> Image:
        """What is decoded from the file that y became, itself rounded to 8 bits."""
        transform, step = self._of(y)
        middle = transform.tiled(_middles(transform)).to(y)
        coefficients = transform(rounded(y)) - middle
        return rounded(transform.initial((coefficients / step).round() * step + middle))

    def coefficients(self, decoded: Image) -> Tensor:
        """The rounded coefficients in a file, from what was decoded from it."""
        transform, step = self._of(decoded)
        middle = transform.tiled(_middles(transform)).to(decoded)
        raw = transform.coefficients(decoded) - middle
        return (raw / step).round() * step + middle

    def likelihood(self, decoded: Image, noise: NoiseModel | None) -> Rounded:
        """Of the coefficients, whose noise before compression is white and known, or none.

        Raises:
            ValueError: noise of several levels.
        """
        step = self._of(decoded)[1]
        std = torch.full_like(step, rounding_std())  # the encoder was given 8 bits
        if noise is not None:
            variance = noise.precision(decoded).reciprocal()
            if not bool((variance == variance[:1, :1, :1, :1]).all()):
                raise ValueError("before JPEG, noise of one known level is expected")
            std = (std.square() + variance[0, 0, 0, 0]).sqrt()
        return Rounded(std, step, clipped=False)

    def _of(self, y: Image) -> tuple[BlockTransform, Tensor]:
        channels, height, width = y.shape[1:]
        transform = self.transform((channels, height, width))
        tables = (self.tables[0], self.tables[1], self.tables[1])[:channels]
        steps = [y.new_tensor(table) / _LEVELS for table in tables]
        return transform, transform.tiled(steps)


def _middles(transform: BlockTransform) -> list[Tensor]:
    """What is taken from the first coefficient of brightness before rounding, per plane."""
    first = torch.zeros(SIDE**2)
    first[0] = _MIDDLE
    return [first, *(torch.zeros(SIDE**2) for _ in transform.sizes[1:])]
