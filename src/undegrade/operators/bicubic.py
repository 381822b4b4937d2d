"""Low resolution as image editors make it."""

import math
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, interpolate

from undegrade.core.image import Image
from undegrade.core.operator import LinearOperator
from undegrade.operators.padding import fold, pad


@final
class BicubicDownsample(LinearOperator):
    """Antialiased bicubic reduction by a whole factor, as MATLAB's imresize does it.

    Every fine pixel counts with the cubic kernel (a = −½) stretched by the factor and centered on
    the middle of the coarse pixel; past the border the image is mirrored, the last pixel repeated.

    References:
        Keys, Cubic convolution interpolation for digital image processing (1981), eq. 15.

    Arguments:
        factor: s, 1 or more.

    Raises:
        ValueError: a factor below 1; an image whose sides are not multiples of s, or below 2s.
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        if factor < 1:
            raise ValueError(f"the factor of a downsampling is 1 or more, got {factor}")
        self.factor = factor
        self.register_buffer("taps", _taps(factor), persistent=False)

    taps: Tensor

    def extra_repr(self) -> str:
        return str(self.factor)

    def forward(self, x: Image) -> Tensor:
        s, (h, w) = self.factor, x.shape[-2:]
        if h % s or w % s or min(h, w) < 2 * s:
            raise ValueError(
                f"the sides of the image must be multiples of {s} from {2 * s} on, got {h}×{w}"
            )
        flat = pad(x, (self._reach, self._reach), "symmetric").flatten(0, 1).unsqueeze(1)
        taps = self.taps.to(x)
        rows = conv2d(flat, taps.reshape(1, 1, -1, 1), stride=(s, 1))
        coarse = conv2d(rows, taps.reshape(1, 1, 1, -1), stride=(1, s))
        return coarse.squeeze(1).unflatten(0, x.shape[:2])

    def adjoint(self, y: Tensor) -> Image:
        s, taps = self.factor, self.taps.to(y)
        flat = y.flatten(0, 1).unsqueeze(1)
        rows = conv_transpose2d(flat, taps.reshape(1, 1, 1, -1), stride=(1, s))
        fine = conv_transpose2d(rows, taps.reshape(1, 1, -1, 1), stride=(s, 1))
        whole = fine.squeeze(1).unflatten(0, y.shape[:2])
        return fold(whole, (self._reach, self._reach), "symmetric")

    def initial(self, y: Tensor) -> Image:
        """Bicubic enlargement."""
        size = (y.shape[-2] * self.factor, y.shape[-1] * self.factor)
        return interpolate(y, size=size, mode="bicubic", antialias=True)

    def lost(self, y: Tensor) -> None:
        """Every entry sees the image."""

    @property
    def _reach(self) -> int:
        """Pixels past the border that count."""
        return (self.taps.numel() - self.factor) // 2


def _taps(factor: int) -> Tensor:
    """Weights of the fine pixels closer than 2·factor to the middle of a coarse one; of sum 1."""
    middle = (factor - 1) / 2
    first = math.floor(middle - 2 * factor) + 1
    last = math.ceil(middle + 2 * factor) - 1
    t = (torch.arange(first, last + 1, dtype=torch.float64) - middle).abs() / factor
    near = (1.5 * t - 2.5) * t * t + 1
    far = ((-0.5 * t + 2.5) * t - 4) * t + 2
    weight = torch.where(t <= 1, near, far)
    return weight / weight.sum()
