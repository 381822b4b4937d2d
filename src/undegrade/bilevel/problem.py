"""A bilevel problem as a functional of its upper variable."""

from typing import Any, NoReturn, final

import torch
from torch import Tensor

from undegrade.bilevel.hypergradient import Evaluation, Hypergradient
from undegrade.bilevel.lower_level import LowerLevel
from undegrade.bilevel.optimality import Theta
from undegrade.core.functional import Functional
from undegrade.core.image import PerSample, Vector


@final
class Bilevel(Functional):
    """θ ↦ upper(x̂(θ)), with x̂(θ) the minimizer of the lower problem.

    Its gradient is the hypergradient. So every smooth solver minimizes it, as the fidelity of
    `Objective(bilevel, penalty, weight)` with a penalty of θ itself, and
    `bilevel(theta).sum().backward()` works for a θ that takes part in differentiation. Second
    derivatives are refused.

    References:
        Kunisch and Pock, A bilevel optimization approach for parameter learning in variational
        models (2013).

    Arguments:
        upper: the loss of a lower solution x.
        lower: the lower problem.
        hypergradient: how to differentiate through it: `Implicit()` or `Unrolled(steps=…)`.
    """

    def __init__(self, upper: Functional, lower: LowerLevel, hypergradient: Hypergradient) -> None:
        super().__init__()
        self.upper, self.lower, self.hypergradient = upper, lower, hypergradient

    def extra_repr(self) -> str:
        return f"solver={self.lower.solver}, hypergradient={self.hypergradient}"

    def forward(self, x: Vector) -> PerSample:
        return _Value.apply(x, self)

    def value_and_grad(self, x: Vector) -> tuple[PerSample, Vector]:
        found = self.evaluate(x, self.lower.start)
        return found.value, found.gradient

    def evaluate(self, theta: Theta, start: Vector) -> Evaluation:
        """The value, the hypergradient and the lower solution, whose search begins at `start`."""
        return self.hypergradient.evaluate(self.upper, self.lower, theta, start)

    def hvp(self, x: Vector, v: Vector) -> NoReturn:
        """Refused: the hypergradient is not differentiated again."""
        del x, v
        raise ValueError("a bilevel problem has no Hessian products; use a first-order method")


class _Value(torch.autograd.Function):
    """The value, with the hypergradient as its derivative."""

    @staticmethod
    def forward(ctx: Any, theta: Tensor, problem: Bilevel) -> Tensor:
        value, gradient = problem.value_and_grad(theta)
        ctx.save_for_backward(gradient)
        return value

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor
    ) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        (slope,) = grad_outputs
        return slope.reshape(-1, *(1,) * (gradient.ndim - 1)) * gradient, None
