"""Conjugate gradients for quadratic objectives."""

import math
from dataclasses import dataclass
from typing import NamedTuple, final

import torch

from undegrade.core.image import PerSample, Vector, norm
from undegrade.core.objective import Smooth
from undegrade.core.stopping import State
from undegrade.linear_algebra.conjugate_gradient import SystemState, conjugate_gradient_step
from undegrade.solvers.refusal import refuse_constraint, require_objective


class ConjugateGradientState(NamedTuple):
    """Iterate x, −∇ and ‖∇‖², the last direction and ‖∇‖² where it began; ‖∇‖ at 0."""

    x: Vector
    residual: PerSample
    descent: Vector
    squared: PerSample
    direction: Vector
    along: PerSample
    scale: PerSample


@final
@dataclass(frozen=True, kw_only=True)
class ConjugateGradient:
    """Minimizes a quadratic f(x) + λg(x): the linear system ∇(f + λg)(x) = 0, without a matrix.

    The best of all methods that only multiply by the Hessian, where f and g are quadratic (a
    Gaussian likelihood of a linear operator; Tikhonov). On anything else its answer is wrong and
    it does not notice. A singular Hessian is fine: what the objective does not see stays as it was
    in x0.

    The residual is ‖∇(f + λg)(x)‖ / ‖∇(f + λg)(0)‖.

    References:
        Hestenes and Stiefel, Methods of conjugate gradients for solving linear systems (1952).

    Good values: stop at a residual of 1e-4; in float32 not below 1e-6.

    Raises:
        ValueError: an objective with a constraint.
    """

    def init(
        self, problem: Smooth, x0: Vector, near: State | None = None
    ) -> ConjugateGradientState:
        del near  # its directions are another problem's
        require_objective("ConjugateGradient", problem)
        refuse_constraint("ConjugateGradient", problem, "use LBFGS")
        zero = norm(problem.grad(torch.zeros_like(x0)))
        linear = SystemState.start(x0, -problem.grad(x0))
        return ConjugateGradientState(x0, zero * 0 + math.inf, *linear[1:], zero)

    def step(self, problem: Smooth, state: ConjugateGradientState) -> ConjugateGradientState:
        def hessian(v: Vector) -> Vector:
            return problem.hvp(state.x, v)

        linear = SystemState(state.x, state.descent, state.squared, state.direction, state.along)
        linear = conjugate_gradient_step(hessian, linear)
        floor = torch.finfo(linear.x.dtype).tiny
        residual = linear.squared.sqrt() / state.scale.clamp(min=floor)
        return ConjugateGradientState(linear.x, residual, *linear[1:], state.scale)
