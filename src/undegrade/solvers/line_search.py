"""How far to go along a direction: strong Wolfe, sample by sample, and safe in float32."""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple, final

import torch
from torch import Tensor

from undegrade.core.image import PerSample, Vector, dot, per_sample
from undegrade.core.objective import Smooth


@final
@dataclass(frozen=True, kw_only=True)
class Search:
    """The bracket of one sample's search for a step α along φ(α) = f(P(x + αd)).

    The bracket (low, high) always contains a step that satisfies the strong Wolfe conditions
    φ(α) ≤ φ(0) + c₁⟨∇f(x), x(α) − x⟩ and |φ′(α)| ≤ c₂|φ′(0)|, where φ is smooth. Where the values
    can no longer be told apart, the first condition is read from the slopes instead, so that the
    search goes on to where the slopes too are rounding errors.

    References:
        Nocedal and Wright, Numerical optimization (2006), section 3.5. Hager and Zhang, A new
        conjugate gradient method with guaranteed descent and an efficient line search (2005),
        eq. (4.1).

    Arguments:
        value: φ(0), or the value that a non-monotone method measures decrease from.
        slope: φ′(0) < 0.
        step: the step to try next; the accepted one when settled.
        rounding: differences of values below this mean nothing.
        decrease: c₁ in (0, ½).
        curvature: c₂ in (c₁, 1); ∞ asks for decrease only.
    """

    value: float
    slope: float
    step: float
    rounding: float
    decrease: float = 1e-4
    curvature: float = 0.9
    low: float = 0.0
    low_slope: float = math.nan
    high: float = math.inf
    high_slope: float = math.nan
    trials: int = 20
    settled: bool = False

    def judge(self, value: float, slope: float, predicted: float) -> "Search":
        """The search after a trial: settled on its step, or with another step to try.

        Arguments:
            value: φ(step).
            slope: φ′(step).
            predicted: ⟨∇f(x), x(step) − x⟩.
        """
        if self.settled or self.trials == 0 or not self.slope < 0:
            return replace(self, settled=True)
        if not self._enough(value, slope, predicted) or slope > -self.curvature * self.slope:
            return replace(self, high=self.step, high_slope=slope)._next()
        if slope < self.curvature * self.slope:
            return replace(self, low=self.step, low_slope=slope)._next()
        return replace(self, settled=True)

    def _enough(self, value: float, slope: float, predicted: float) -> bool:
        if abs(value - self.value) <= self.rounding:
            return slope <= (2 * self.decrease - 1) * self.slope
        return value <= self.value + self.decrease * predicted

    def _next(self) -> "Search":
        trials = self.trials - 1
        if trials == 0:  # low satisfies the first condition, or is 0: no progress
            return replace(self, step=self.low, trials=0)
        step = self._beyond() if math.isinf(self.high) else self._between()
        return replace(self, step=step, trials=trials)

    def _beyond(self) -> float:
        """A step past low, where the slope still falls: secant, kept within a factor of 10."""
        ratio = self.low_slope / self.slope
        guess = self.low / (1 - ratio) if ratio < 1 else math.inf
        return min(max(guess, 2 * self.low), 10 * self.low)

    def _between(self) -> float:
        """A step inside the bracket: secant of the slopes, or the middle where they do not tell."""
        start = self.slope if math.isnan(self.low_slope) else self.low_slope
        width, rise = self.high - self.low, self.high_slope - start
        if not (self.high_slope > 0 and math.isfinite(rise)) or self.trials % 4 == 0:
            return self.low + 0.5 * width
        # a tenth from either end, so that every trial shortens the bracket
        return self.low + width * min(max(-start / rise, 0.1), 0.9)


class Point(NamedTuple):
    """An image with the value and the gradient there."""

    x: Vector
    value: PerSample
    gradient: Vector


def search_along(
    problem: Smooth, x: Vector, gradient: Vector, direction: Vector, searches: list[Search]
) -> Point:
    """The accepted points P(x + αd).

    Every trial evaluates all samples, the settled ones where they settled; so the last trial has
    every sample at its own accepted step, and one sample never waits on what another one does.
    """
    while True:
        step = torch.tensor([s.step for s in searches], dtype=x.dtype, device=x.device)
        point, slope, predicted = evaluate(problem, x, gradient, direction, step)
        rows = torch.stack((point.value, slope, predicted), 1).tolist()
        searches = [s.judge(*row) for s, row in zip(searches, rows, strict=True)]
        if all(s.settled for s in searches):
            return point
        del point  # two images that the next trial has room for


def evaluate(
    problem: Smooth, x: Vector, gradient: Vector, direction: Vector, step: PerSample
) -> tuple[Point, PerSample, PerSample]:
    """The point P(x + step·direction), the slope along the path there, ⟨∇f(x), P(…) − x⟩."""
    ahead = torch.addcmul(x, per_sample(step, x), direction)
    if problem.constraint is None:
        value, slope = problem.value_and_grad(ahead)
        return (
            Point(ahead, value, slope),
            dot(slope, direction),
            step * dot(gradient, direction),
        )
    landed = problem.project(ahead)
    value, slope = problem.value_and_grad(landed)
    moving = direction * (landed == ahead)  # where the constraint holds x, the path has stopped
    predicted = dot(gradient, landed - x)
    return Point(landed, value, slope), dot(slope, moving), predicted


def rounding(value: Tensor) -> Tensor:
    """How much of a sum over pixels is rounding error."""
    return 8 * torch.finfo(value.dtype).eps * value.abs()  # pairwise sums lose a few ulps
