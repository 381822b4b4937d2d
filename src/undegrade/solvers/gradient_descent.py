"""Gradient descent that finds its own step sizes."""

import math
from dataclasses import dataclass
from typing import NamedTuple, final

import torch

from undegrade.core.image import PerSample, Vector, dot, per_sample
from undegrade.core.objective import Smooth
from undegrade.core.stopping import State
from undegrade.solvers.line_search import Point, Search, rounding, search_along
from undegrade.solvers.refusal import require_objective


class GradientDescentState(NamedTuple):
    """Iterate, its value and gradient, the step to try next, and the mean that values must beat."""

    x: Vector
    residual: PerSample
    value: PerSample
    gradient: Vector
    step: PerSample
    reference: PerSample
    terms: PerSample
    magnitude: PerSample  # |f + λg| at the start


@final
@dataclass(frozen=True, kw_only=True)
class GradientDescent:
    """Minimizes a smooth f(x) + λg(x), x free or in a convex set, along x − P(x − α∇).

    α = ⟨s, s⟩/⟨s, y⟩, the inverse curvature along the last step (Barzilai–Borwein), shortened
    until the value is well below a running mean of the earlier values. Three images of memory and
    any convex constraint; where `LBFGS` applies it needs fewer iterations. Slow where the problem
    is badly conditioned; fails where f has kinks.

    The residual is what such a step expects still to gain, as a fraction of the value:
    ½⟨∇, x − P(x − α∇)⟩ / |f + λg|. It judges by the last curvature alone and so is optimistic
    where the problem is badly conditioned.

    References:
        Birgin, Martínez and Raydan, Nonmonotone spectral projected gradient methods on convex
        sets (2000). Zhang and Hager, A nonmonotone line search technique (2004), eq. (1.6).

    Good values: memory 0.85; stop at a residual of 1e-7.

    Arguments:
        memory: how much earlier values count in the mean, from 0 (monotone descent) to 1.

    Raises:
        ValueError: memory outside [0, 1].
    """

    memory: float = 0.85

    def __post_init__(self) -> None:
        if not 0 <= self.memory <= 1:
            raise ValueError(f"expected a memory in [0, 1], got {self.memory}")

    def init(self, problem: Smooth, x0: Vector, near: State | None = None) -> GradientDescentState:
        del near  # its curvature is another problem's
        require_objective("GradientDescent", problem)
        x = problem.project(x0)
        point = Point(x, *problem.value_and_grad(x))
        # A guess that moves no pixel by more than 0.1; later steps know the curvature.
        steepest = point.gradient.abs().flatten(1).amax(1)
        step = 0.1 / steepest.detach().clamp(min=torch.finfo(x.dtype).tiny)
        value, one = point.value, torch.ones_like(point.value)
        unknown = value * 0 + math.inf
        return GradientDescentState(
            x, unknown, value, point.gradient, step, value, one, value.abs()
        )

    def step(self, problem: Smooth, state: GradientDescentState) -> GradientDescentState:
        x, gradient = state.x, state.gradient
        # Along a segment inside the set, not along its surface: any convex set will do.
        direction = problem.project(x - per_sample(state.step, x) * gradient) - x
        slope = dot(gradient, direction)
        rows = torch.stack((state.reference, slope, rounding(state.value)), 1).tolist()
        searches = [_search(value, slope, noise) for value, slope, noise in rows]
        point = search_along(problem, x, gradient, direction, searches)
        s, y = point.x - x, point.gradient - gradient
        # Step sizes are no part of a derivative: through ⟨s, s⟩/⟨s, y⟩ it would grow without bound.
        step = _next_step(state.step, dot(s, s), dot(s, y)).detach()
        terms = self.memory * state.terms + 1
        reference = state.reference + (point.value - state.reference) / terms
        floor = torch.finfo(x.dtype).eps * state.magnitude + torch.finfo(x.dtype).tiny
        ahead = problem.project(point.x - per_sample(step, x) * point.gradient)
        expected = 0.5 * dot(point.gradient, point.x - ahead).clamp(min=0)
        residual = expected / torch.maximum(point.value.abs(), floor)
        return GradientDescentState(
            point.x, residual, point.value, point.gradient, step, reference, terms, state.magnitude
        )


def _search(value: float, slope: float, noise: float) -> Search:
    step = 1.0 if slope < 0 else 0.0
    return Search(value=value, slope=slope, step=step, rounding=noise, curvature=math.inf)


def _next_step(last: PerSample, ss: PerSample, sy: PerSample) -> PerSample:
    """⟨s, s⟩/⟨s, y⟩; where the curvature was not positive, ten times the last step."""
    curved = sy > torch.finfo(ss.dtype).eps * ss / last
    # without positive curvature the next step is longer: the search shortens it if that is wrong
    return torch.where(ss > 0, torch.where(curved, ss / sy, 10 * last), last)
