"""Clipped highlights: a value at the top of the range says "at least this much"."""

from typing import final

import torch
from torch import Tensor

from undegrade.core.image import PerSample, per_sample
from undegrade.core.likelihood import NoiseModel
from undegrade.likelihoods.interval import Interval


@final
class Saturated(NoiseModel):
    """y = min(prediction + noise, top).

    Below the top −log p is that of the noise. At the top it is −log P(prediction + n ≥ top), n
    normal with the deviation that the noise has there: no cost where the prediction is above, and
    nearly the square of what is missing where it is below. Taking such values for measurements
    pulls bright lights down and rings about them; taking them as lost forgets that they are bright.

    For a linear method, which knows no inequalities, values at the top are lost.

    References:
        Whyte, Sivic and Zisserman, Deblurring shaken and partially saturated images (2014).

    Arguments:
        noise: of the values before clipping.
        top: of the range.

    Raises:
        ValueError: noise that is not smooth, whose values at the top would have no density.
    """

    top: Tensor

    def __init__(self, noise: NoiseModel, top: float | Tensor = 1.0) -> None:
        super().__init__()
        if not noise.smooth:
            raise ValueError(f"saturation is known for smooth noise, got {type(noise).__name__}")
        self.unclipped = noise
        self.register_buffer("top", torch.as_tensor(top))

    def extra_repr(self) -> str:
        return f"top={self.top.tolist()}"

    def clipped(self, y: Tensor) -> Tensor:
        """True where y is at the top of the range; a file's rounding is forgiven."""
        top = per_sample(self.top, y)
        return y >= top - 4 * torch.finfo(y.dtype).eps * top.abs()

    def sample(self, prediction: Tensor, generator: torch.Generator) -> Tensor:
        y = self.unclipped.sample(prediction, generator)
        return torch.minimum(y, per_sample(self.top, y).to(y))

    def forward(self, prediction: Tensor, y: Tensor) -> PerSample:
        clipped = self.clipped(y)
        # at the top the noise sees a prediction that is exact, which costs nothing that changes
        below = self.unclipped(torch.where(clipped, y, prediction), y)
        return below + self._sum(self._at_top(y)(prediction).value, clipped)

    def value_and_grad(self, prediction: Tensor, y: Tensor) -> tuple[PerSample, Tensor]:
        clipped, cost = self.clipped(y), self._at_top(y)(prediction)
        value, slope = self.unclipped.value_and_grad(torch.where(clipped, y, prediction), y)
        return value + self._sum(cost.value, clipped), torch.where(clipped, cost.slope, slope)

    def curvature(self, prediction: Tensor, y: Tensor) -> Tensor:
        """That of the noise; at the top the second derivative, between 0 and 1/std²."""
        clipped = self.clipped(y)
        below = self.unclipped.curvature(torch.where(clipped, y, prediction), y)
        return torch.where(clipped, self._at_top(y)(prediction).curvature, below)

    def precision(self, y: Tensor) -> Tensor:
        """That of the noise, and 0 at the top."""
        return torch.where(self.clipped(y), 0.0, self.unclipped.precision(y))

    def stronger(self, factor: float) -> "Saturated":
        return Saturated(self.unclipped.stronger(factor).noise, self.top)

    @property
    def closed_form(self) -> bool:
        return False

    def prox(self, v: Tensor, y: Tensor, step: float | PerSample) -> Tensor:
        below = self.unclipped.prox(v, y, step)
        above = self._at_top(y).prox(v, per_sample(step, v))
        return torch.where(self.clipped(y), above, below)

    def conjugate(self, p: Tensor, y: Tensor) -> PerSample:
        clipped = self.clipped(y)
        # a slope of 0 has its supremum where the noise costs least: the constant of `forward`
        below = self.unclipped.conjugate(torch.where(clipped, 0.0, p), y)
        return below + self._sum(self._at_top(y).conjugate(p), clipped)

    def _at_top(self, y: Tensor) -> Interval:
        top = per_sample(self.top, y).to(y).expand_as(y)
        std = self.unclipped.precision(top).rsqrt()
        return Interval(top, torch.full_like(top, torch.inf), std)

    def _sum(self, cost: Tensor, clipped: Tensor) -> PerSample:
        return torch.where(clipped, cost, 0.0).flatten(1).sum(1)
