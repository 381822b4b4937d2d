"""Keeping one pixel of every block: the decimation part of super-resolution."""

from typing import final

import torch
from torch import Tensor

from undegrade.core.gram import Gram
from undegrade.core.image import Image
from undegrade.core.operator import LinearOperator
from undegrade.operators.diagonal import Diagonal


@final
class Downsample(LinearOperator):
    """Keep the pixel at index ⌊s/2⌋ + s mod 2 − 1 of every s×s block.

    By itself it aliases: `Downsample(2) @ Blur(psf)` is the usual low-resolution camera.

    Arguments:
        factor: s, 1 or more.

    Raises:
        ValueError: a factor below 1; an image whose sides are not multiples of the factor.
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        if factor < 1 or factor != int(factor):
            raise ValueError(
                f"the factor of a downsampling is a whole number, 1 or more, got {factor}"
            )
        self.factor = factor

    def extra_repr(self) -> str:
        return str(self.factor)

    @property
    def offset(self) -> int:
        """Index of the kept pixel in its block."""
        return self.factor // 2 + self.factor % 2 - 1

    def forward(self, x: Image) -> Tensor:
        s, k = self.factor, self.offset
        if x.shape[-2] % s or x.shape[-1] % s:
            raise ValueError(
                f"the sides of the image must be multiples of {s}, got {x.shape[-2]}×{x.shape[-1]}"
            )
        return x[..., k::s, k::s]

    def adjoint(self, y: Tensor) -> Image:
        s, k = self.factor, self.offset
        after = s - 1 - k
        spaced = torch.nn.functional.pad(y[..., :, None, :, None], (k, after, 0, 0, k, after))
        return spaced.flatten(-4, -3).flatten(-2, -1)

    def initial(self, y: Tensor) -> Image:
        """Bilinear interpolation on the fine grid, the kept pixels where they belong."""
        rows, columns = (self._neighbors(n, y) for n in y.shape[-2:])
        y = y[..., rows[0], :] * (1 - rows[2][:, None]) + y[..., rows[1], :] * rows[2][:, None]
        return y[..., columns[0]] * (1 - columns[2]) + y[..., columns[1]] * columns[2]

    def _neighbors(self, n: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For every fine pixel the two kept ones beside it, and the weight of the second."""
        fine = torch.arange(n * self.factor, device=like.device)
        place = ((fine - self.offset).to(like.dtype) / self.factor).clamp(0, n - 1)
        low = place.floor().long()
        return low, (low + 1).clamp(max=n - 1), place - low

    def lost(self, y: Tensor) -> None:
        """Every entry sees the image."""

    @property
    def gram(self) -> Gram:
        """1 at the pixels that remain, 0 elsewhere."""
        return Diagonal(lambda x: self.adjoint(torch.ones_like(self(x[:1, :1]))))
