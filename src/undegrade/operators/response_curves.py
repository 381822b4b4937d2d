"""Response curves of cameras and files, from linear light in [0, 1] to values in [0, 1].

All of them rise everywhere, also below 0 and above 1, where noise may lead, and have a slope that
is finite everywhere.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

_TOE = 1e-4  # light below which a power would be too steep to compute with: 4 gray levels at 2.2
_SRGB_TOE = 0.0031308  # of the standard: light below which the curve is a line


@final
@dataclass(frozen=True)
class Gamma:
    """z ↦ z^(1/exponent): what files of many cameras and screens hold.

    Below 1e-4 a parabola with the same value and slope leads to 0, since the power's slope is
    infinite there; below 0 its tangent goes on.

    Good values:
        2.2, about what sRGB is in the middle.

    Arguments:
        exponent: g ≥ 1; 1 changes nothing.

    Raises:
        ValueError: an exponent below 1 or above 10.
    """

    exponent: float

    def __post_init__(self) -> None:
        if not 1 <= self.exponent <= 10:
            raise ValueError(f"expected a gamma from 1 to 10, got {self.exponent}")

    def encode(self, z: Tensor) -> Tensor:
        """From light to values."""
        slope, bend = self._toe
        power = z.clamp(min=_TOE) ** (1 / self.exponent)
        toe = z * (slope + bend * z.clamp(min=0))
        return torch.where(z < _TOE, toe, power)

    def decode(self, y: Tensor) -> Tensor:
        """From values to light."""
        slope, bend = self._toe
        corner = _TOE ** (1 / self.exponent)
        # the root of slope·z + bend·z² = y in the form without cancellation
        root = (slope**2 + 4 * bend * y.clamp(0, corner)).sqrt()
        return torch.where(y < corner, 2 * y / (slope + root), y.clamp(min=corner) ** self.exponent)

    @property
    def _toe(self) -> tuple[float, float]:
        """The parabola's slope at 0, and its second coefficient."""
        secant = _TOE ** (1 / self.exponent - 1)
        return (2 - 1 / self.exponent) * secant, (1 / self.exponent - 1) * secant / _TOE


@final
@dataclass(frozen=True)
class SRGB:
    """The curve of sRGB, which nearly all pictures on screens have: a line, then a power of 1/2.4.

    References:
        IEC 61966-2-1:1999.
    """

    def encode(self, z: Tensor) -> Tensor:
        """From light to values."""
        power = 1.055 * z.clamp(min=_SRGB_TOE) ** (1 / 2.4) - 0.055
        return torch.where(z < _SRGB_TOE, 12.92 * z, power)

    def decode(self, y: Tensor) -> Tensor:
        """From values to light."""
        corner = 12.92 * _SRGB_TOE
        power = ((y.clamp(min=corner) + 0.055) / 1.055) ** 2.4
        return torch.where(y < corner, y / 12.92, power)


@final
@dataclass(frozen=True)
class Logarithm:
    """z ↦ log(1 + gain·z)/log(1 + gain): logarithmic sensors, and the log profiles of cameras.

    Arguments:
        gain: how strongly shadows are raised, > 0; 100 spreads two decades of light evenly.

    Raises:
        ValueError: a gain that is not positive.
    """

    gain: float = 100.0

    def __post_init__(self) -> None:
        if not 0 < self.gain < math.inf:
            raise ValueError(f"expected a positive gain of the logarithm, got {self.gain}")

    def encode(self, z: Tensor) -> Tensor:
        """From light to values; below 0 the tangent goes on."""
        whole = math.log1p(self.gain)
        return torch.where(z < 0, self.gain * z, (self.gain * z.clamp(min=0)).log1p()) / whole

    def decode(self, y: Tensor) -> Tensor:
        """From values to light."""
        scaled = math.log1p(self.gain) * y
        return torch.where(y < 0, scaled, scaled.clamp(min=0).expm1()) / self.gain


@final
@dataclass(frozen=True)
class Table:
    """A measured curve: straight between its points, and beyond its ends as there.

    Its derivative jumps at the points, which Gauss–Newton takes in its stride where they lie close
    together or the curve is smooth.

    Arguments:
        light: increasing.
        values: what these measure as, increasing, as many.

    Raises:
        ValueError: fewer than two points; numbers that do not increase, or are not finite.
    """

    light: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.light) != len(self.values) or len(self.light) < 2:
            raise ValueError(
                f"a response curve has two points or more, and a value for each, got "
                f"{len(self.light)} and {len(self.values)}"
            )
        for numbers in (self.light, self.values):
            rising = all(a < b for a, b in itertools.pairwise(numbers))
            if not rising or not all(map(math.isfinite, numbers)):
                raise ValueError("the light and the values of a response curve must both increase")

    def __repr__(self) -> str:
        return f"Table({len(self.light)} points)"

    def encode(self, z: Tensor) -> Tensor:
        """From light to values."""
        return _interpolated(z, self.light, self.values)

    def decode(self, y: Tensor) -> Tensor:
        """From values to light."""
        return _interpolated(y, self.values, self.light)


def _interpolated(x: Tensor, at: tuple[float, ...], values: tuple[float, ...]) -> Tensor:
    knots, heights = x.new_tensor(at), x.new_tensor(values)
    slopes = heights.diff() / knots.diff()
    piece = torch.bucketize(x.detach(), knots[1:-1])
    return heights[piece] + slopes[piece] * (x - knots[piece])


CURVES: dict[str, type[Any]] = {
    "gamma": Gamma,
    "srgb": SRGB,
    "log": Logarithm,
    "curve": Table,
}
"""As flags and descriptions write them."""
