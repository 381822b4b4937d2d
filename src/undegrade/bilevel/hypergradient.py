"""Derivatives of an upper loss through the minimizer of a lower problem."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol, final, runtime_checkable

import torch
from torch import Tensor

from undegrade.bilevel.lower_level import LowerLevel
from undegrade.bilevel.optimality import NO_DEPENDENCE, Theta, pulled
from undegrade.core.functional import Functional
from undegrade.core.image import PerSample, Vector
from undegrade.core.solver import advance
from undegrade.linear_algebra.conjugate_gradient import conjugate_gradient


class Evaluation(NamedTuple):
    """ℓ(θ) = upper(x̂(θ)), its gradient in θ, and the x̂ that was found."""

    value: Tensor
    gradient: Theta
    x: Vector


@runtime_checkable
class Hypergradient(Protocol):
    """How to differentiate through a lower problem."""

    def evaluate(
        self, upper: Functional, lower: LowerLevel, theta: Theta, start: Vector
    ) -> Evaluation: ...


@final
@dataclass(frozen=True, kw_only=True)
class Implicit:
    """By the implicit function theorem: dℓ = −(∂F/∂θ)ᵀ q with (∂F/∂x)ᵀ q = ∇upper(x̂).

    F(x, θ) = 0 is the lower problem's `Optimality`; q comes from conjugate gradients. Exact where
    x̂ is; an x̂ at distance ε costs an error of the order of ε (`MAID` bounds it). Memory does not
    grow with the number of lower iterations.

    References:
        Pedregosa, Hyperparameter optimization with approximate gradient (2016), algorithm 1.

    Good values: a lower problem solved to about the same accuracy as the linear system.

    Arguments:
        tolerance: residual of the linear system, relative to its right-hand side.
        iterations: most conjugate gradient iterations.

    Raises:
        ValueError: conjugate gradients do not get there: the lower problem is not strongly convex,
            or far from its minimum.
    """

    tolerance: float = 1e-6
    iterations: int = 500

    def evaluate(
        self, upper: Functional, lower: LowerLevel, theta: Theta, start: Vector
    ) -> Evaluation:
        x, state = lower.solve(theta, start)
        value, slope = upper.value_and_grad(x)
        system = lower.optimality.adjoint(lower.objective(theta.detach()), x, slope)
        solution = conjugate_gradient(
            system.matrix,
            system.right,
            tolerance=self.tolerance,
            iterations=self.iterations,
            precondition=lower.precondition and lower.precondition(state),
        )
        if bool((solution.residual > self.tolerance).any()):
            raise ValueError(
                "the Hessian of the lower problem has no inverse that conjugate gradients find: "
                f"after {self.iterations} iterations the residual is "
                f"{float(solution.residual.max()):.1e}, expected {self.tolerance:.1e}; the lower "
                "problem must be strongly convex"
            )
        pull = pulled(lower.optimality, lower.objective, theta, x)
        return Evaluation(_grouped(value, theta), -pull(system.lift(solution.x)), x)


@final
@dataclass(frozen=True, kw_only=True)
class Unrolled:
    """By differentiating a fixed number of the lower solver's iterations, as LISTA does.

    The exact gradient of what those iterations compute, be it the minimizer or not. Memory grows
    with the number of steps. Works with solvers that can be differentiated; others refuse.

    References:
        Gregor and LeCun, Learning fast approximations of sparse coding (2010).

    Arguments:
        steps: iterations of the lower solver.

    Raises:
        ValueError: fewer than 1 step.
    """

    steps: int

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"expected 1 step or more to unroll, got {self.steps}")

    def evaluate(
        self, upper: Functional, lower: LowerLevel, theta: Theta, start: Vector
    ) -> Evaluation:
        theta = theta.detach().requires_grad_()
        with torch.enable_grad():
            state = advance(lower.solver, lower.objective(theta), start.detach(), self.steps)
            value = _grouped(upper(state.x), theta)
            if not value.requires_grad:
                raise ValueError(NO_DEPENDENCE)
            (gradient,) = torch.autograd.grad(value.sum(), theta)
        return Evaluation(value.detach(), gradient, state.x.detach())


def _grouped(value: PerSample, theta: Theta) -> Tensor:
    """The sum over the samples that share a θ."""
    return value.reshape(len(theta), -1).sum(1)
