"""A picture in a JPEG file, for methods that remove noise: how wrong it is, and what it allows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from undegrade.core.image import Image
from undegrade.core.measurement import Measurement
from undegrade.estimation.quantized import SIDE, rounding_variance
from undegrade.likelihoods.rounded import Rounded

ROUNDS = (1.4, 0.91, 0.59, 0.38)  # of the file's error: what is taken for noise, round by round
_WIDTH = 0.5  # of an interval, about its middle: what is left to a coefficient
_QUIET = 0.01  # of the range: noise before compression up to this is none


@runtime_checkable
class Blockwise(Protocol):
    """What is asked of an operator: coefficients of blocks, and pictures of coefficients."""

    def __call__(self, x: Image) -> Tensor: ...
    def initial(self, y: Tensor) -> Image: ...
    def blocks(self, row: Tensor) -> Sequence[Tensor]: ...
    def right_inverse(self, row: Tensor) -> Image: ...
    def mixed_variance(self, planes: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Decompression:
    """Intervals of cosine coefficients, and pictures that keep them.

    Arguments:
        transform: from pictures to coefficients.
        noise: how these were rounded.
        y: to what.
    """

    transform: Blockwise
    noise: Rounded
    y: Tensor

    @property
    def decoded(self) -> Image:
        """What a decoder shows."""
        return self.transform.initial(self.y)

    @property
    def std(self) -> Tensor:
        """About the deviation of what is decoded from the picture, per sample and channel."""
        step = self.noise.step.to(self.y)
        planes = zip(*(self.transform.blocks(row) for row in (self.y / step, step)), strict=True)
        found = [rounding_variance(_blocks(k), _blocks(s)[0, 0]) for k, s in planes]
        return self.transform.mixed_variance(torch.stack(found, 1)).sqrt()[..., None, None]

    def within(self, x: Image) -> Image:
        """A picture near x whose coefficients lie in the middle halves of their intervals.

        Most lie there: the whole interval would let the denoiser blur too much.

        References:
            Park and Lee, Theory of projection onto the narrow quantization constraint set and its
            application (1999).
        """
        found, reach = self.transform(x), _WIDTH / 2 * self.noise.step.to(x)
        kept = torch.minimum(torch.maximum(found, self.y - reach), self.y + reach)
        return x + self.transform.right_inverse(kept - found)


def decompression(measurement: Measurement) -> Decompression | None:
    """Of a measurement that is a JPEG file and nothing else: no blur, no noise to speak of."""
    operator, noise = measurement.operator, measurement.likelihood
    if not (isinstance(operator, Blockwise) and isinstance(noise, Rounded)):
        return None
    if bool((noise.std > _QUIET).any()):
        return None
    return Decompression(operator, noise, measurement.y)


def _blocks(plane: Image) -> Tensor:
    """(b, 1, rows, columns) as (b, blocks, 64)."""
    split = plane[:, 0].unflatten(-1, (-1, SIDE)).unflatten(-3, (-1, SIDE))  # b R 8 K 8
    return split.transpose(2, 3).flatten(-2).flatten(1, 2)
