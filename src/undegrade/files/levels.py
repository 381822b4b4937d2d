"""What the samples of a file mean: which value is black, and which is white."""

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from undegrade.core.image import Image

_DIM = 0.25  # of the range of 16 bits: a picture that stays below it may well have another white
_DEPTHS = (10, 12, 14)  # bits of cameras whose samples are stored in 16


@dataclass(frozen=True, kw_only=True)
class Levels:
    """Sample values of black (0 in an image) and white (1).

    Arguments:
        black: its value; sensors and backgrounds may have another than 0.
        white: its value; None for the largest integer of the type, and 1 in floating point.

    Raises:
        ValueError: one is not finite, or white is not above black.
    """

    black: float = 0.0
    white: float | None = None

    def __post_init__(self) -> None:
        white = math.inf if self.white is None else self.white
        if not math.isfinite(self.black) or not self.black < white or white != white:
            raise ValueError(
                f"white must be a larger value than black, got black {self.black:g} and "
                f"white {white:g}"
            )
        if self.white == math.inf:
            raise ValueError("the value of white must be finite")

    def span(self, dtype: np.dtype) -> float:
        """Sample value of white less that of black.

        Raises:
            ValueError: it is not positive for samples of this type.
        """
        white = largest(dtype) if self.white is None else self.white
        if not white > self.black:
            raise ValueError(f"white is {white:g} in {dtype}, which is not above {self.black:g}")
        return white - self.black

    def decoded(self, samples: Tensor, dtype: np.dtype) -> Tensor:
        """Samples as an image, in float32."""
        wide = samples.clone() if samples.is_floating_point() else samples.float()
        return wide.sub_(self.black).div_(self.span(dtype)).float()

    def encoded(self, values: Tensor, dtype: np.dtype) -> Tensor:
        """An image as samples of a type, rounded and clipped to what an integer type holds.

        Where white is the largest integer, that clips to [0, 1].
        """
        samples = (values * self.span(dtype)).add_(self.black)
        return samples.round_().clamp_(0, largest(dtype)) if dtype.kind == "u" else samples


AS_TYPED = Levels()
"""Black at 0, white at the largest integer of the type, or at 1."""


def largest(dtype: np.dtype) -> float:
    """The value of white that files of a type have if nothing else is said."""
    return float(np.iinfo(dtype).max) if dtype.kind == "u" else 1.0


def outside(x: Image, levels: Levels, dtype: np.dtype) -> str:
    """What a picture holds beyond black and white, in words; empty where that is nothing.

    A picture of 16 bits that is dark all over is told too: its white may be that of 10 or 12 bits.
    """
    low, high = x.min().item(), x.max().item()
    span = levels.span(dtype)
    slack = 1e-6  # rounding of float32
    if low < -slack or high > 1 + slack:
        share = ((x < -slack) | (x > 1 + slack)).float().mean().item()
        black, white = levels.black, levels.black + span
        return (
            f"{_percent(share)} of the values lie outside of black ({black:g}) and white "
            f"({white:g}), from {low * span + black:.4g} to {high * span + black:.4g}; where these "
            f"have other values, say them: --black VALUE --white VALUE"
        )
    if levels.white is None and largest(dtype) == 2**16 - 1 and 0 < high < _DIM:
        peak = round(high * span + levels.black)
        white = next((2**n - 1 for n in _DEPTHS if peak < 2**n), None)
        if white is not None:
            return (
                f"the brightest value is {peak} of 65535; where white is less than that, say it, "
                f"as in --white {white}"
            )
    return ""


def _percent(share: float) -> str:
    return f"{100 * share:.{0 if share > 0.1 else 2}f} %" if share >= 1e-4 else "a few"
