"""Regularized Gauss–Newton steps whose damping adapts: for what is not linear."""

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from undegrade.core.functional import Linear
from undegrade.core.image import PerSample, Vector, dot, norm, per_sample, ratio, select
from undegrade.core.objective import Smooth
from undegrade.core.stopping import State
from undegrade.linear_algebra.conjugate_gradient import conjugate_gradient
from undegrade.solvers.line_search import Point, rounding
from undegrade.solvers.preconditioner import Preconditioner, preconditioner
from undegrade.solvers.refusal import refuse_derivatives
from undegrade.solvers.two_metric import two_metric

_GOOD, _POOR = 0.75, 0.25  # of the decrease that the model expects: trust it more, or less
_LEAST = 1e-4  # of it: below, the step is not taken
_LOOSEST, _USUAL = 0.5, 0.1  # relative residual of conjugate gradients: it falls with ‖∇‖
_CLOSE = 1e-3  # of the gradient's norm at the start: from there on it falls further
_NEAR = 0.3  # of the gradient's norm at the start: from there on the dual is carried along
_SHORTEST = 0.1  # of a step that failed, tried instead
_LARGEST = 1e12  # damping relative to the curvature from which no step moves anything


class LevenbergMarquardtState(NamedTuple):
    """Iterate, value and gradient, the damping, the gradient's norm at the start, the dual."""

    x: Vector
    residual: PerSample
    value: PerSample
    gradient: Vector
    damping: PerSample  # relative to the mean of the curvature's diagonal
    first: PerSample
    dual: Tensor  # what the prior's curvature remembers, (b, …)


@final
@dataclass(frozen=True, kw_only=True)
class LevenbergMarquardt:
    """Minimizes f(x) + λg(x), x free or in a box, by steps (C + μ) d = −∇ of its curvature C.

    C is φ′ᵀWφ′ of a fidelity, whatever its likelihood, plus λ times the `tightened` curvature of
    the prior, for total variation by a dual field that moves along. No matrix is formed: conjugate
    gradients solve to a relative residual of ½‖∇‖/‖∇₀‖, 0.1 at least until ‖∇‖ ≤ 1e-3‖∇₀‖. They are
    helped by an approximate inverse of C + μ, for total variation a cycle over ever coarser grids,
    else a diagonal.

    μ falls by 3 where the value fell by more than ¾ of what the model expects, and doubles below ¼.
    A step below 1e-4 of it, or to a value that is not finite, is shortened once. Where that fails
    too it is not taken: the dual begins anew at 0, where the model majorizes the prior, or μ grows
    by 4 where it was 0 already, as it is until ‖∇‖ ≤ 0.3‖∇₀‖. Each sample has its own μ and dual
    and decides for itself.

    It converges super-linearly where the value at the solution is small or φ nearly linear, also
    where gradient steps crawl for bad scaling, and to a minimum behind total variation in a
    fraction of the time of `LBFGS` (docs/nonlinear.md). Where φ′ = 0, as behind a clipped value,
    the prior and μ decide. With a constraint, pixels that the box holds take a gradient step and
    the others the model's (two-metric projection).

    The residual is the decrease that the model expected of the last step, as a fraction of the
    value.

    References:
        Moré, The Levenberg–Marquardt algorithm (1978). Eisenstat and Walker, Choosing the forcing
        terms in an inexact Newton method (1996).

    Good values:
        the defaults; damping 1 where the start is far away and φ strongly curved. A residual of
        1e-6.

    Arguments:
        damping: first μ, relative to the mean of the curvature's diagonal.
        cg_iterations: most conjugate gradient iterations of a step.

    Raises:
        ValueError: settings that are not positive; a problem or a start that asks for derivatives.
    """

    damping: float = 1e-2
    cg_iterations: int = 30

    def __post_init__(self) -> None:
        if not (self.damping > 0 and self.cg_iterations > 0):
            raise ValueError(
                f"expected a damping and cg_iterations above 0, got {self.damping} and "
                f"{self.cg_iterations}"
            )

    def init(
        self, problem: Smooth, x0: Vector, near: State | None = None
    ) -> LevenbergMarquardtState:
        del near  # its damping is another problem's
        refuse_derivatives("LevenbergMarquardt", problem, x0, "use GradientDescent")
        with torch.no_grad():
            x = problem.project(x0)
            value, gradient = problem.value_and_grad(x)
        unknown = value * 0 + math.inf
        damping = torch.full_like(value, self.damping)
        first, dual = norm(gradient), problem.prior.dual(x)
        return LevenbergMarquardtState(x, unknown, value, gradient, damping, first, dual)

    def step(self, problem: Smooth, state: LevenbergMarquardtState) -> LevenbergMarquardtState:
        refuse_derivatives("LevenbergMarquardt", problem, state.x, "use GradientDescent")
        with torch.no_grad():
            return self._go(problem, state)

    def _go(self, problem: Smooth, state: LevenbergMarquardtState) -> LevenbergMarquardtState:
        x, gradient = state.x, state.gradient
        fidelity, (bent, moved) = (
            problem.fidelity.curvature(x),
            problem.prior.tightened(x, state.dual),
        )
        weight = per_sample(problem.weights(x), x)

        def prior(v: Vector) -> Vector:
            return weight * bent(v)

        def curved(v: Vector) -> Vector:
            u = prior(v)  # first: it takes more room on its way
            return u.add_(fidelity(v))

        near = preconditioner(problem, x, fidelity, prior, state.damping)
        tolerance = _forcing(ratio(norm(gradient), state.first))
        solve = functools.partial(self._solved, curved, near, tolerance)
        if problem.constraint is None:
            step = -solve(gradient, None)
            landed = x + step
            # conjugate gradients leave a residual orthogonal to what they found: dᵀCd = −dᵀ∇ − μd²
            slope = -dot(gradient, step)
            bend = (slope - near.shift * dot(step, step)).clamp(min=0)
        else:
            along = ratio(dot(gradient, curved(gradient)), dot(gradient, gradient))
            scale = ratio(torch.ones_like(along), along + near.shift)
            _, landed = two_metric(problem.project, x, gradient, scale, solve)
            step = landed - x
            slope, bend = -dot(gradient, step), dot(step, curved(step))
        del curved, prior, fidelity, bent, solve, near  # room for the derivatives of φ there
        point = Point(landed, *problem.value_and_grad(landed))
        length = _length(state, point, slope, bend)
        if bool((length < 1).any()):
            step = per_sample(length, step) * step
            landed = x + step
            point = Point(landed, *problem.value_and_grad(landed))
        expected = length * slope - 0.5 * length.square() * bend
        return _judged(state, point, expected, moved(step))

    def _solved(
        self,
        curved: Linear,
        near: Preconditioner,
        tolerance: PerSample,
        q: Vector,
        free: Vector | None,
    ) -> Vector:
        """(C + μ)⁻¹ q, on the free pixels alone where there are others."""
        shift = per_sample(near.shift, q)

        def kept(v: Vector) -> Vector:
            return v if free is None else v.mul_(free)

        return conjugate_gradient(
            lambda v: kept(torch.addcmul(curved(v), shift, v)),
            q,
            tolerance=tolerance,
            iterations=self.cg_iterations,
            precondition=lambda r: kept(near.solve(r)),
        ).x


def _forcing(left: PerSample) -> PerSample:
    """The relative residual of a solve, by how much of the gradient's norm is left.

    Closer than a tenth costs more products than it saves steps, until little is left: then it is
    what makes the steps super-linear.
    """
    return (_LOOSEST * left).clamp(_USUAL, _LOOSEST) * (left / _CLOSE).clamp(max=1)


def _length(
    state: LevenbergMarquardtState, point: Point, slope: PerSample, bend: PerSample
) -> PerSample:
    """1 for a step that is good; else where the parabola through what is known is least.

    A conjugate gradient solve costs tens of evaluations: what it found is tried once more.
    """
    rise, expected = point.value - state.value, slope - 0.5 * bend
    fails = (rise > -_LEAST * expected) & (rise.abs() > rounding(state.value)) & (slope > 0)
    least = slope / (2 * (rise + slope))
    shorter = torch.where(least.isfinite(), least, 0.0).clamp(_SHORTEST, 0.5)
    return torch.where(fails | point.value.isnan(), shorter, 1.0)


def _judged(
    state: LevenbergMarquardtState, point: Point, expected: PerSample, dual: Tensor
) -> LevenbergMarquardtState:
    """The state after a step that was tried: taken or not, with the damping that it teaches."""
    actual = state.value - point.value
    gain = ratio(actual, expected)
    hidden = (actual.abs() <= rounding(state.value)) & (expected <= rounding(state.value))
    gain = torch.where(hidden, 1.0, gain)  # what rounding hides is believed
    sound = point.value.isfinite() & expected.isfinite() & (gain > _LEAST) & (expected >= 0)
    damping = torch.where(gain > _GOOD, state.damping / 3, state.damping)
    damping = torch.where(gain < _POOR, 2 * state.damping, damping)
    carried = (state.dual != 0).flatten(1).any(1)  # the model was not the cautious one
    damping = torch.where(sound | carried, damping, 4 * state.damping)
    damping = torch.where(carried & ~sound, state.damping, damping)
    magnitude = state.value.abs().clamp(min=torch.finfo(state.x.dtype).tiny)
    known = expected.isfinite() & ((expected > 0) | hidden)  # else the box bent the step uphill
    promised = torch.where(known, expected.clamp(min=0), math.inf) / magnitude
    stuck = damping > _LARGEST  # a residual that no longer moves ends the iteration
    promised = torch.where(stuck, torch.inf, promised)
    damping = damping.clamp(max=2 * _LARGEST)
    residual = torch.where(state.value.isfinite(), promised, torch.nan)
    near = norm(point.gradient) <= _NEAR * state.first  # far away a majorizer goes further
    return LevenbergMarquardtState(
        select(sound, point.x, state.x),
        residual,
        torch.where(sound, point.value, state.value),
        select(sound, point.gradient, state.gradient),
        damping,
        state.first,
        select(sound & (gain >= _POOR) & near, dual, 0.0),
    )
