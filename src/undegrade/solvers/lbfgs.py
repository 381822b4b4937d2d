"""Limited-memory quasi-Newton descent, free or in a box."""

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple, final

import torch

from undegrade.core.image import PerSample, Vector, dot, per_sample
from undegrade.core.objective import Smooth
from undegrade.core.stopping import State
from undegrade.solvers.line_search import Point, Search, rounding, search_along
from undegrade.solvers.refusal import refuse_derivatives, require_objective
from undegrade.solvers.two_metric import two_metric

_ADVICE = "use GradientDescent"


class Pair(NamedTuple):
    """What one step taught about the curvature; both numbers are 0 where it taught nothing."""

    s: Vector  # Δx
    y: Vector  # Δ∇f
    inverse: PerSample  # 1/⟨s, y⟩
    scale: PerSample  # ⟨s, y⟩/⟨y, y⟩


class LBFGSState(NamedTuple):
    """Iterate, its value and gradient, where to go next, and what is remembered (newest last)."""

    x: Vector
    residual: PerSample
    value: PerSample
    gradient: Vector
    direction: Vector
    slope: PerSample  # along the direction
    scale: PerSample  # 1/curvature, as the newest useful pair has it
    pairs: tuple[Pair, ...]
    magnitude: PerSample  # |f + λg| at the start


@final
@dataclass(frozen=True, kw_only=True)
class LBFGS:
    """Minimizes a smooth f(x) + λg(x), x free or in a box: x ← P(x − αH∇), H from the last steps.

    The method of choice for smooth variational problems: nearly always one evaluation per
    iteration, and no step size to choose. With a constraint, pixels that a scaled gradient step
    would push out of the box take that step, and the others a quasi-Newton step of their own
    curvature (two-metric projection), so that it converges to the constrained minimum. The
    constraint must act on every pixel by itself, as `Box` does. Fails where f has kinks.

    The residual is what the quadratic model expects still to gain, as a fraction of the value:
    ½⟨∇, x − P(x − H∇)⟩ / |f + λg|. The step consumes its state: what it remembers is overwritten,
    the iterate is not.

    References:
        Liu and Nocedal, On the limited memory BFGS method for large scale optimization (1989).
        For boxes, see `two_metric`.

    Good values: memory 2, which holds 3 + 2·2 images between steps. On photographs (noise, blur,
    low resolution; benchmarks/solver_choice.py) 1 is the quickest, by a tenth to a fifth, and 6
    takes a quarter to a half more time than 1, though not more iterations. A residual of 3e-6 left
    about 3e-5 of the value to gain, 1e-4 about 4e-4: it knows a tenth to a quarter of what is still
    to come.

    Arguments:
        memory: how many steps are remembered.

    Raises:
        ValueError: memory below 1; a problem or a start that asks for derivatives.
    """

    memory: int = 2

    def __post_init__(self) -> None:
        if self.memory < 1:
            raise ValueError(f"expected a memory of 1 step or more, got {self.memory}")

    def init(self, problem: Smooth, x0: Vector, near: State | None = None) -> LBFGSState:
        del near  # its curvature is another problem's
        require_objective("LBFGS", problem)
        refuse_derivatives("LBFGS", problem, x0, _ADVICE)
        return self._begin(problem, x0)

    @torch.no_grad()
    def _begin(self, problem: Smooth, x0: Vector) -> LBFGSState:
        x = problem.project(x0)
        point = Point(x, *problem.value_and_grad(x))
        # A guess that moves no pixel by more than 0.1; the line search corrects it.
        steepest = point.gradient.abs().flatten(1).amax(1)
        scale = 0.1 / steepest.clamp(min=torch.finfo(x.dtype).tiny)
        state = _aim(problem, point, scale, (), point.value.abs(), torch.empty_like(x))
        return state._replace(residual=state.residual * 0 + math.inf)

    def step(self, problem: Smooth, state: LBFGSState) -> LBFGSState:
        refuse_derivatives("LBFGS", problem, state.x, _ADVICE)
        return self._go(problem, state)

    @torch.no_grad()
    def _go(self, problem: Smooth, state: LBFGSState) -> LBFGSState:
        rows = torch.stack((state.value, state.slope, rounding(state.value)), 1).tolist()
        searches = [
            Search(value=value, slope=slope, rounding=noise, step=1.0 if slope < 0 else 0.0)
            for value, slope, noise in rows
        ]
        point = search_along(problem, state.x, state.gradient, state.direction, searches)
        moved = (point.x != state.x).flatten(1).any(1)
        full = len(state.pairs) == self.memory
        oldest = state.pairs[0] if full else None  # its memory is taken by the newest
        newest = _pair(
            torch.sub(point.x, state.x, out=oldest and oldest.s),
            torch.sub(point.gradient, state.gradient, out=oldest and oldest.y),
        )
        pairs = (*state.pairs[full:], newest)
        # A sample that could not move begins anew from its gradient alone.
        pairs = tuple(p._replace(inverse=p.inverse * moved, scale=p.scale * moved) for p in pairs)
        scale = torch.where(newest.scale > 0, newest.scale, state.scale)
        return _aim(problem, point, scale, pairs, state.magnitude, state.direction)


def _pair(s: Vector, y: Vector) -> Pair:
    sy, yy, ss = dot(s, y), dot(y, y), dot(s, s)
    useful = sy > torch.finfo(s.dtype).eps * (ss * yy).sqrt()
    return Pair(s, y, torch.where(useful, 1 / sy, 0.0), torch.where(useful, sy / yy, 0.0))


def _aim(
    problem: Smooth,
    point: Point,
    scale: PerSample,
    pairs: tuple[Pair, ...],
    magnitude: PerSample,
    into: Vector,
) -> LBFGSState:
    """The state at a point: the direction from here, its slope and what it promises.

    The direction is written to `into`.
    """
    x, value, gradient = point
    if problem.constraint is None:
        direction = _quasi_newton(into.copy_(gradient), None, scale, pairs).neg_()
        slope = expected = dot(gradient, direction)
    else:
        newton = functools.partial(_quasi_newton, scale=scale, pairs=pairs)
        direction, landed = two_metric(problem.project, x, gradient, scale, newton)
        slope, expected = dot(gradient, direction), dot(gradient, landed - x)
    floor = torch.finfo(x.dtype).eps * magnitude + torch.finfo(x.dtype).tiny
    residual = (-0.5 * expected).clamp(min=0) / torch.maximum(value.abs(), floor)
    return LBFGSState(x, residual, value, gradient, direction, slope, scale, pairs, magnitude)


def _quasi_newton(
    q: Vector, free: Vector | None, scale: PerSample, pairs: tuple[Pair, ...]
) -> Vector:
    """H q in place of q, by the two-loop recursion; H from the free pixels' curvature alone."""
    if free is not None:
        pairs = tuple(_restricted(pair, free, scale) for pair in pairs)
    steps = list[PerSample]()
    for s, y, inverse, _ in reversed(pairs):
        steps.append(inverse * dot(s, q))
        _masked(q.addcmul_(per_sample(steps[-1], y), y, value=-1), free)
    for pair in pairs:  # the newest useful one sets the scale
        scale = torch.where(pair.scale > 0, pair.scale, scale)
    q.mul_(per_sample(scale, q))
    for (s, y, inverse, _), along in zip(pairs, reversed(steps), strict=True):
        _masked(q.addcmul_(per_sample(along - inverse * dot(y, q), s), s), free)
    return q


def _restricted(pair: Pair, free: Vector, scale: PerSample) -> Pair:
    """The pair as the free pixels see it: there ⟨s, y⟩ > 0 is no longer certain."""
    y = pair.y * free
    sy, yy = dot(pair.s, y), dot(y, y)
    # a millionth of the usual curvature: what is below is no curvature of the free pixels
    useful = (pair.inverse > 0) & (sy > 1e-6 * scale * yy)
    inverse, scale = torch.where(useful, 1 / sy, 0.0), torch.where(useful, sy / yy, 0.0)
    return pair._replace(inverse=inverse, scale=scale)


def _masked(x: Vector, free: Vector | None) -> Vector:
    return x if free is None else x.mul_(free)
