"""Values that were rounded: each says in which interval it was."""

from typing import final

import torch
from torch import Tensor

from undegrade.core.image import Number, PerSample, per_sample
from undegrade.core.likelihood import NoiseModel
from undegrade.likelihoods.interval import Interval
from undegrade.likelihoods.noise import standard_normal


@final
class Rounded(NoiseModel):
    """y = round((prediction + std·n)/step)·step, clipped to [0, 1] or not; n standard normal.

    −log p = −log P(y − step/2 < prediction + std·n < y + step/2); a value at an end of the range
    says "at most" or "at least". About Gaussian where std ≥ step; where the steps are large it is
    nearly flat inside the interval, and holds predictions there.

    For linear methods it is noise of the variance std² + step²/12, and values at an end of the
    range are lost.

    References:
        Zymnis, Boyd and Candès, Compressed sensing with quantized measurements (2010), eq. (4).

    Arguments:
        std: standard deviation of the noise before rounding, one number, one per sample (b,) or one
            per entry of y.
        step: between two values, 1/255 for 8 bits; one number or one per entry of y.
        clipped: whether the values end at 0 and 1.

    Raises:
        ValueError: a deviation or step that is not positive.
    """

    std: Tensor
    step: Tensor

    def __init__(
        self,
        std: float | Tensor | Number,
        step: float | Tensor = 1 / 255,
        *,
        clipped: bool = True,
    ) -> None:
        super().__init__()
        stds, steps = torch.as_tensor(std), torch.as_tensor(step)
        if not (bool((stds > 0).all()) and bool((steps > 0).all())):
            raise ValueError(f"the deviation and the step must be positive, got {std} and {step}")
        self.register_buffer("std", stds)
        self.register_buffer("step", steps)
        self.ends = clipped

    def extra_repr(self) -> str:
        step = self.step.item() if self.step.ndim == 0 else tuple(self.step.shape)
        return f"std={self.std.tolist()}, step={step}, clipped={self.ends}"

    def sample(self, prediction: Tensor, generator: torch.Generator) -> Tensor:
        y = prediction + self._std(prediction) * standard_normal(prediction, generator)
        step = self.step.to(y)
        rounded = (y / step).round() * step
        return rounded.clamp(0, 1) if self.ends else rounded

    def forward(self, prediction: Tensor, y: Tensor) -> PerSample:
        return self._interval(y)(prediction).value.flatten(1).sum(1)

    def value_and_grad(self, prediction: Tensor, y: Tensor) -> tuple[PerSample, Tensor]:
        cost = self._interval(y)(prediction)
        return cost.value.flatten(1).sum(1), cost.slope

    def curvature(self, prediction: Tensor, y: Tensor) -> Tensor:
        """The second derivative, between 0 and 1/std²."""
        return self._interval(y)(prediction).curvature

    def precision(self, y: Tensor) -> Tensor:
        """1/(std² + step²/12), and 0 at the ends of the range."""
        low, high = self._at_ends(y)
        variance = self._std(y).square() + self.step.to(y).square() / 12
        return torch.where(low | high, 0.0, 1 / variance)

    def stronger(self, factor: float) -> "Rounded":
        """The steps are what they are: the noise before rounding makes up for it."""
        std = self.std if self.step.ndim == 0 else self._std(self.step)
        rounding = self.step.square() / 12
        variance = factor**2 * (std.square() + rounding) - rounding
        least = (factor * std).square().clamp(max=std.square().min())  # where the factor is below 1
        return Rounded(torch.maximum(variance, least).sqrt(), self.step, clipped=self.ends)

    @property
    def closed_form(self) -> bool:
        return False

    def prox(self, v: Tensor, y: Tensor, step: float | PerSample) -> Tensor:
        return self._interval(y).prox(v, per_sample(step, v))

    def conjugate(self, p: Tensor, y: Tensor) -> PerSample:
        return self._interval(y).conjugate(p).flatten(1).sum(1)

    def _std(self, like: Tensor) -> Tensor:
        return self.std.to(like) if self.std.ndim > 1 else per_sample(self.std, like).to(like)

    def _at_ends(self, y: Tensor) -> tuple[Tensor, Tensor]:
        if not self.ends:
            none = torch.zeros_like(y, dtype=torch.bool)
            return none, none
        half = self.step.to(y) / 4
        return y < half, y > 1 - half

    def _interval(self, y: Tensor) -> Interval:
        low, high = self._at_ends(y)
        half = self.step.to(y) / 2
        lower = torch.where(low, -torch.inf, y - half)
        upper = torch.where(high, torch.inf, y + half)
        return Interval(lower, upper, self._std(y))
