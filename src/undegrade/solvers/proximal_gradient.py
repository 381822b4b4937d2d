"""Proximal gradient descent, accelerated."""

import math
from dataclasses import dataclass
from typing import NamedTuple, final

import torch

from undegrade.core.functional import Functional, Proximable
from undegrade.core.image import PerSample, Vector, dot, norm, per_sample
from undegrade.core.objective import Objective
from undegrade.core.stopping import State
from undegrade.linear_algebra.power_iteration import squared_norm
from undegrade.solvers.refusal import refuse_constraint, require_objective

Problem = Objective[Functional, Proximable]
_MARGIN = 1.05  # power iteration estimates a norm from below


class ProximalGradientState(NamedTuple):
    """Iterate x, extrapolated point z with ∇f(z), momentum t, and the Lipschitz constant in use."""

    x: Vector
    residual: PerSample
    z: Vector
    gradient: Vector
    momentum: PerSample
    lipschitz: PerSample


@final
@dataclass(frozen=True, kw_only=True)
class ProximalGradient:
    """Minimizes f(x) + λg(x), f smooth and convex, g with a known prox (FISTA with restart).

    x⁺ = prox_{λg/L}(z − ∇f(z)/L), z⁺ = x⁺ + (t − 1)/t⁺·(x⁺ − x). L is the largest eigenvalue of
    ∇²f at the start, and grows where two gradients show more curvature than that; then, and where
    the momentum points uphill, t starts again at 1. The restarts make the rate linear where
    f + λg is strongly convex, without a need to know how strongly. Works for λg without gradient;
    where g is smooth, `LBFGS` is faster. May fail where f is not convex.

    The residual is ‖x⁺ − z‖/‖x⁺‖.

    References:
        Beck and Teboulle, A fast iterative shrinkage-thresholding algorithm for linear inverse
        problems (2009), eqs. (4.1)–(4.3). O'Donoghue and Candès, Adaptive restart for accelerated
        gradient schemes (2015), eq. (13).

    Good values: stop at a residual of 1e-4 (to see), 1e-6 (to compare).

    Arguments:
        power_iterations: how many products with ∇²f the estimate of L may use.

    Raises:
        ValueError: power_iterations below 1; an objective with a constraint.
    """

    power_iterations: int = 12

    def __post_init__(self) -> None:
        if self.power_iterations < 1:
            raise ValueError(f"expected 1 power iteration or more, got {self.power_iterations}")

    def init(
        self, problem: Problem, x0: Vector, near: State | None = None
    ) -> ProximalGradientState:
        del near  # a state is not shorter to come by than x0
        prior = Proximable, "LpNorm is one; use PrimalDual or LBFGS for total variation"
        require_objective("ProximalGradient", problem, prior=prior)
        refuse_constraint("ProximalGradient", problem, "make it the prior, or use LBFGS")

        def hessian(v: Vector) -> Vector:
            return problem.fidelity.hvp(x0, v)

        largest = squared_norm(hessian, tuple(x0.shape), x0, self.power_iterations)
        lipschitz = _MARGIN * largest.clamp(min=torch.finfo(x0.dtype).tiny)
        unknown = lipschitz * 0 + math.inf
        return ProximalGradientState(
            x0, unknown, x0, problem.fidelity.grad(x0), torch.ones_like(lipschitz), lipschitz
        )

    def step(self, problem: Problem, state: ProximalGradientState) -> ProximalGradientState:
        z, step, t = state.z, 1 / state.lipschitz, state.momentum
        forward = torch.addcmul(z, per_sample(step, z), state.gradient, value=-1)
        x = problem.prior.prox(forward, step * problem.weights(z))
        change = x - state.x
        uphill = dot(z - x, change) > 0
        t = torch.where(uphill, 1.0, t)
        following = (1 + (1 + 4 * t.square()).sqrt()) / 2
        ahead = torch.addcmul(x, per_sample((t - 1) / following, x), change)
        gradient = problem.fidelity.grad(ahead)
        seen = _seen(ahead - z, gradient - state.gradient, norm(z))
        steeper = seen > state.lipschitz
        return ProximalGradientState(
            x,
            norm(x - z) / norm(x).clamp(min=torch.finfo(x.dtype).tiny),
            ahead,
            gradient,
            torch.where(steeper, 1.0, following),
            torch.where(steeper, _MARGIN * seen, state.lipschitz),
        )


def _seen(dz: Vector, dg: Vector, size: PerSample) -> PerSample:
    """‖Δ∇f‖/‖Δz‖, a lower bound on L; 0 where Δz is no more than rounding.

    Differentiable there too: a start at the minimizer does not move.
    """
    squared, turned = dot(dz, dz), dot(dg, dg)
    least = (30 * torch.finfo(dz.dtype).eps * size.detach()).square()
    sure = (squared > least) & (turned > 0)
    quotient = torch.where(sure, turned, 1.0) / torch.where(sure, squared, 1.0)
    return torch.where(sure, quotient.sqrt(), 0.0)
