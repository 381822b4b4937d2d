"""How wrong a hypergradient can be that comes from an inexact lower solution."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from undegrade.bilevel.lower_level import LowerLevel
from undegrade.bilevel.optimality import Problem, Theta, hessian
from undegrade.core.functional import Functional
from undegrade.core.image import PerSample, Vector
from undegrade.core.stopping import Until, Verdict
from undegrade.linear_algebra.conjugate_gradient import Map
from undegrade.linear_algebra.power_iteration import squared_norm

_MARGIN = 1.05  # power iteration estimates a norm from below


class Located(NamedTuple):
    """An iterate, and how far the minimizer can be: a state whose residual is that distance."""

    x: Vector
    measure: Callable[[Vector], PerSample]

    @property
    def residual(self) -> PerSample:
        """The distance."""
        return self.measure(self.x)


@final
@dataclass(frozen=True)
class WithinDistance:
    """Stop a lower solve where the bound on the distance to the minimizer is small enough.

    Arguments:
        measure: x ↦ a bound on ‖x − x̂‖, such as an `Optimality` gives; about one gradient.
        until: the tolerance as its residual, and the budget.
    """

    measure: Callable[[Vector], PerSample]
    until: Until

    def begin(self, state: Any) -> Tensor:
        """No distance measured yet."""
        return self.until.begin(state)

    def look(self, iteration: int, state: Any, memory: Tensor) -> tuple[Verdict | None, Tensor]:
        """The verdict of `until` on distances."""
        return self.until.look(iteration, Located(state.x, self.measure), memory)


class Sensitivity(NamedTuple):
    """Norms that say how an error in x̂ reaches the hypergradient, one per θ."""

    mixed: Tensor  # ‖∂F/∂θ‖
    mixed_slope: Tensor  # ‖∂/∂x (∂F/∂θ)ᵀq‖
    hessian_slope: Tensor  # ‖∂/∂x (∇²h v)‖
    upper: Tensor  # ‖∇²upper‖

    def bound(self, distance: Tensor, left: Tensor, modulus: Tensor) -> Tensor:
        """ω ≥ ‖z − ∇ℓ‖, to first order in the distance.

        The adjoint v is off by at most (δ + (‖∂(∇²h v)‖ + ‖∇²upper‖)·ε)/μ, hence

            ω = ‖∂(∂F/∂θ)ᵀq‖·ε + ‖∂F/∂θ‖·(δ + (‖∂(∇²h v)‖ + ‖∇²upper‖)·ε)/μ.

        The published bound has the Lipschitz constant of H⁻¹ times ‖∇upper‖ where this one has the
        slope of ∇²h along the adjoint that was found: measured, and much smaller.

        References:
            Salehi, Mukherjee, Roberts and Ehrhardt, An adaptively inexact first-order method for
            bilevel optimization with application to hyperparameter learning (2025), theorem 2.1.

        Arguments:
            distance: ε ≥ ‖x − x̂‖.
            left: δ, the residual of the adjoint system.
            modulus: μ, of strong convexity of the lower problem.
        """
        adjoint = (left + (self.hessian_slope + self.upper) * distance) / modulus
        return self.mixed_slope * distance + self.mixed * adjoint


def sensitivity(
    upper: Functional, lower: LowerLevel, theta: Theta, x: Vector, v: Vector, iterations: int
) -> Sensitivity:
    """The norms at (θ, x) with the adjoint v, by power iteration on exact derivatives.

    Arguments:
        upper: the upper loss.
        lower: the lower problem.
        theta: θ.
        x: about x̂(θ).
        v: the solution of the adjoint system.
        iterations: of the power method.
    """
    theta, x = theta.detach(), x.detach()
    lift = lower.optimality.adjoint(lower.objective(theta), x, torch.zeros_like(x)).lift

    def mixed(at: Tensor, w: Tensor) -> Tensor:
        """(∂F/∂θ)ᵀ lift(w) at an x."""

        def field(theta: Tensor) -> Tensor:
            return lower.optimality.field(lower.objective(theta), at)

        return torch.func.vjp(field, theta)[1](lift(w))[0]

    def bent(at: Tensor) -> Tensor:
        """∇²h v at an x."""
        problem = lower.objective(theta)
        return lower.optimality.adjoint(problem, at, torch.zeros_like(x)).matrix(v)

    third = torch.func.vjp(bent, x)[1]

    def turned(u: Tensor) -> Tensor:
        return third(u)[0]

    return Sensitivity(
        mixed=_norm(partial(mixed, x), x, theta, iterations),
        mixed_slope=_norm(partial(mixed, w=v), x, theta, iterations),
        hessian_slope=largest(turned, x, theta, iterations),
        upper=largest(hessian(upper, x), x, theta, iterations),
    )


def strong_convexity(problem: Problem, x: Vector) -> PerSample:
    """μ of the lower problem.

    Raises:
        ValueError: it is not known to be strongly convex.
    """
    modulus = problem.modulus(x)
    if not bool((modulus > 0).all()):
        raise ValueError(
            "an error bound needs a strongly convex lower problem, and this one has modulus "
            f"{modulus.tolist()}; add a quadratic term, such as that of an elastic net or Tikhonov"
        )
    return modulus


def together(value: PerSample, theta: Theta) -> Tensor:
    """√Σ value² over the samples that share a θ."""
    return value.square().reshape(len(theta), -1).sum(1).sqrt()


def largest(symmetric: Map, x: Vector, theta: Theta, iterations: int) -> Tensor:
    """The largest norm of a symmetric map among the samples that share a θ."""

    def normal(u: Tensor) -> Tensor:
        return symmetric(symmetric(u))

    squared = squared_norm(normal, tuple(x.shape), x, iterations)
    return _MARGIN * squared.sqrt().reshape(len(theta), -1).amax(1)


def _norm(f: Map, x: Vector, theta: Theta, iterations: int) -> Tensor:
    """‖f′(x)‖ for an f from lower variables to θ."""
    back = torch.func.vjp(f, x)[1]

    def transposed(t: Tensor) -> Tensor:
        return back(t)[0]

    forth = torch.func.vjp(transposed, torch.zeros_like(theta))[1]

    def normal(t: Tensor) -> Tensor:
        return forth(transposed(t))[0]

    squared = squared_norm(normal, tuple(theta.shape), theta, iterations)
    return _MARGIN * squared.sqrt()
