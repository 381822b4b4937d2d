"""The equation that a minimizer satisfies, and how far a point that nearly satisfies it can be."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias, final, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from undegrade.core.functional import Functional, Proximable
from undegrade.core.image import PerSample, Vector, norm
from undegrade.core.objective import Objective
from undegrade.linear_algebra.conjugate_gradient import Map
from undegrade.linear_algebra.probes import random_signs

Problem = Objective[Any, Any]
Theta: TypeAlias = Float[Tensor, "m *p"]
"""An upper variable: weights, a kernel, filters; one per sample or per group of samples."""
NO_DEPENDENCE = "the lower problem does not depend on the upper variable"


class System(NamedTuple):
    """The linear system of an adjoint: `matrix` v = `right`, symmetric; q = `lift`(v), linear."""

    matrix: Map
    right: Tensor
    lift: Map


@runtime_checkable
class Optimality(Protocol):
    """F(x, θ) = 0 at the minimizer x̂(θ), and what follows for derivatives and for distances."""

    def field(self, problem: Problem, x: Vector) -> Vector:
        """F(x), differentiable in the problem's own parameters."""
        ...

    def distance(self, problem: Problem, x: Vector, modulus: PerSample) -> PerSample:
        """A bound on ‖x − x̂‖ for a problem that is strongly convex with this modulus."""
        ...

    def adjoint(self, problem: Problem, x: Vector, slope: Vector) -> System:
        """The system whose solution gives dℓ = −(∂F/∂θ)ᵀ q for an upper loss of this slope in x."""
        ...


@final
@dataclass(frozen=True)
class Stationarity:
    """∇h(x) = 0: problems that are smooth and free.

    Where h is strongly convex with modulus μ, ‖x − x̂‖ ≤ ‖∇h(x)‖/μ.
    """

    def field(self, problem: Problem, x: Vector) -> Vector:
        _free(problem)
        return problem.grad(x)

    def distance(self, problem: Problem, x: Vector, modulus: PerSample) -> PerSample:
        return norm(self.field(problem, x)) / modulus

    def adjoint(self, problem: Problem, x: Vector, slope: Vector) -> System:
        _free(problem)
        return System(hessian(problem, x), slope, _same)


STATIONARITY = Stationarity()


@final
@dataclass(frozen=True)
class ProximalStep:
    """x = prox_{tλg}(x − t∇f(x)): f smooth, g with a prox of every entry by itself (elastic net).

    Entries where the prox is flat stay as they are when θ moves a little; so the adjoint is solved
    on the others, where the prox has slope d: (∇²f + (1 − d)/(td)) v = slope. The derivative
    exists where no entry is on the edge of a flat part.

    References:
        Bertrand et al., Implicit differentiation of Lasso-type models for hyperparameter
        optimization (2020), prop. 1.

    Arguments:
        step: t > 0. Every value gives the same derivative; it only sets how F is scaled.

    Raises:
        ValueError: a prior whose prox mixes the entries.
    """

    step: float = 1.0

    def field(self, problem: Problem, x: Vector) -> Vector:
        return x - self._prox(problem, self._forward(problem, x))

    def distance(self, problem: Problem, x: Vector, modulus: PerSample) -> PerSample:
        """‖x − u‖ + ‖(x − u)/t − ∇f(x) + ∇f(u)‖/μ with u = prox(x − t∇f(x)): a subgradient at u."""
        gradient = problem.fidelity.grad(x)
        u = self._prox(problem, x - self.step * gradient)
        subgradient = (x - u) / self.step - gradient + problem.fidelity.grad(u)
        return norm(x - u) + norm(subgradient) / modulus

    def adjoint(self, problem: Problem, x: Vector, slope: Vector) -> System:
        steepness = self._steepness(problem, self._forward(problem, x))
        curved, moves = hessian(problem.fidelity, x), (steepness > 0).to(x.dtype)
        inverse = moves / steepness.clamp(min=torch.finfo(x.dtype).tiny)
        extra = (inverse - moves) / self.step

        def reduced(v: Vector) -> Vector:
            return moves * curved(moves * v) + extra * v

        def lift(v: Vector) -> Vector:
            return inverse * v / self.step  # flat entries do not change with θ, whatever their q

        return System(reduced, moves * slope, lift)

    def _forward(self, problem: Problem, x: Vector) -> Vector:
        _free(problem)
        return x - self.step * problem.fidelity.grad(x)

    def _prox(self, problem: Problem, v: Vector) -> Vector:
        prior: Proximable = problem.prior
        return prior.prox(v, self.step * problem.weights(v))

    def _steepness(self, problem: Problem, v: Vector) -> Vector:
        """The derivative of the prox, entry by entry."""

        def prox(u: Tensor) -> Tensor:
            return self._prox(problem, u)

        pulled = torch.func.vjp(prox, v)[1]
        (steepness,), signs = pulled(torch.ones_like(v)), random_signs(v, seed=1)
        if not torch.allclose(pulled(signs)[0], steepness * signs, equal_nan=True):
            raise ValueError(
                f"a proximal step can be differentiated where the prior acts on every entry by "
                f"itself; {type(problem.prior).__name__} does not"
            )
        return steepness


def _same(v: Tensor) -> Tensor:
    return v


def hessian(functional: Functional, x: Vector) -> Map:
    """v ↦ ∇²f(x) v, by one backward pass each: the gradient is recorded once (∇²f is symmetric)."""
    pull = torch.func.vjp(functional.grad, x)[1]
    return lambda v: pull(v)[0]


def _free(problem: Problem) -> None:
    if problem.constraint is not None:
        raise ValueError(
            "a bilevel method needs a lower problem without constraint, got "
            f"{type(problem.constraint).__name__}"
        )


def pulled(
    optimality: Optimality, objective: Callable[[Tensor], Problem], theta: Theta, x: Vector
) -> Map:
    """q ↦ (∂F/∂θ)ᵀ q at x.

    Raises:
        ValueError: the lower problem does not depend on θ.
    """
    theta = theta.detach().requires_grad_()
    with torch.enable_grad():
        field = optimality.field(objective(theta), x.detach())
    if not field.requires_grad:
        raise ValueError(NO_DEPENDENCE)
    return lambda q: torch.autograd.grad(field, theta, q, retain_graph=True)[0]
