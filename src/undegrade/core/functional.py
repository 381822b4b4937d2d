"""Real-valued functions of an image, or any other vector: fidelities and priors are the roles."""

import abc
import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from undegrade.core.image import PerSample, Vector, per_sample, require_tensor
from undegrade.core.listed import Listed, all_names
from undegrade.core.operator import LinearOperator

Linear: TypeAlias = Callable[[Tensor], Tensor]


class Functional(torch.nn.Module, metaclass=Listed):
    """f: vector → ℝ, one value per sample."""

    def __call__(self, x: Tensor) -> PerSample:
        require_tensor(x, type(self).__name__)
        return super().__call__(x)

    def __dir__(self) -> list[str]:
        return all_names(super().__dir__())

    @abc.abstractmethod
    def forward(self, x: Tensor) -> PerSample:
        """f(x)."""

    def grad(self, x: Tensor) -> Tensor:
        """∇f(x). Differentiable in x and in the functional's own parameters."""
        return self.value_and_grad(x)[1]

    def value_and_grad(self, x: Tensor) -> tuple[PerSample, Tensor]:
        """f(x) and ∇f(x) from one evaluation."""

        def total(u: Tensor) -> tuple[Tensor, PerSample]:
            value = self(u)
            return value.sum(), value

        gradient, value = torch.func.grad(total, has_aux=True)(x)
        return value, gradient

    def hvp(self, x: Tensor, v: Tensor) -> Tensor:
        """∇²f(x) v, forward over reverse."""
        return torch.func.jvp(self.grad, (x,), (v,))[1]

    def curvature(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """v ↦ C v, symmetric and C ≥ 0: a quadratic model of f about x, as Gauss–Newton takes.

        The Hessian unless overridden, which is right where f is convex and smooth.
        """
        return lambda v: self.hvp(x, v)

    def dual(self, x: Tensor) -> Tensor:
        """What `tightened` begins with, one row per sample: 0, and of no entries by default."""
        return x.new_zeros(len(x), 0)

    def tightened(self, x: Tensor, dual: Tensor) -> tuple[Linear, Linear]:
        """A closer `curvature` by a dual that an iteration carries along; step ↦ its next dual.

        With a dual of 0 it is `curvature` itself. C ≥ 0 always; a quadratic model that no longer
        majorizes, and near a minimum is the Hessian.
        """
        return self.curvature(x), lambda _: dual

    def preconditioner(self, x: Tensor, weight: PerSample) -> Callable[[Tensor], Linear] | None:
        """Shift > 0 ↦ M about (weight·C + diag(shift))⁻¹, C the `curvature` at x; M > 0.

        None where no M is known that is better than a diagonal.
        """
        del x, weight
        return None

    def modulus(self, x: Tensor) -> PerSample:
        """m such that f − m/2·‖x‖² is convex: 0 where f is, −∞ where nothing is known."""
        return x.new_full((len(x),), -math.inf)


class Proximable(Functional):
    """A functional whose proximal map is known in closed form or to high accuracy."""

    @abc.abstractmethod
    def prox(self, v: Tensor, step: float | PerSample) -> Tensor:
        """argminₓ step·f(x) + ½‖x − v‖²."""


class Convex(Proximable):
    """A proximable convex functional whose conjugate is known, so that duality gaps are."""

    def modulus(self, x: Tensor) -> PerSample:
        return x.new_zeros(len(x))

    @abc.abstractmethod
    def conjugate(self, p: Tensor) -> PerSample:
        """f*(p) = supₓ ⟨p, x⟩ − f(x)."""

    def conjugate_bound(self, p: Tensor, x: Tensor) -> PerSample:
        """A bound f̄ ≥ f*(p) from a point x near the maximizer; f*(p) itself unless overridden."""
        del x
        return self.conjugate(p)

    def prox_conjugate(self, v: Tensor, step: float | PerSample) -> Tensor:
        """Prox of step·f*, by Moreau's identity: v − step·prox_{f/step}(v/step)."""
        scale = per_sample(step, v)
        return v - scale * self.prox(v / scale, 1 / step)


class Composite(Functional):
    """x ↦ outer(K x): what primal–dual methods need. TV is a group norm of the gradient.

    Subclasses give the parts. A subclass with a faster way to take the two half-steps of a
    primal–dual method (fused, compiled) overrides `ascend` and `descend`; both may overwrite
    their first argument, which belongs to the solver's state.
    """

    @property
    @abc.abstractmethod
    def outer(self) -> Convex:
        """The convex function of the field K x."""

    @property
    @abc.abstractmethod
    def inner(self) -> LinearOperator:
        """K."""

    @abc.abstractmethod
    def squared_norm(self, x: Vector) -> PerSample:
        """A bound on ‖K‖² for images of the shape of x."""

    def modulus(self, x: Vector) -> PerSample:
        return x.new_zeros(len(x))

    def forward(self, x: Vector) -> PerSample:
        return self.outer(self.inner(x))

    def value_and_grad(self, x: Vector) -> tuple[PerSample, Vector]:
        value, gradient = self.outer.value_and_grad(self.inner(x))
        return value, self.inner.adjoint(gradient)

    def curvature(self, x: Vector) -> Callable[[Vector], Vector]:
        curved = self.outer.curvature(self.inner(x))
        return lambda v: self.inner.adjoint(curved(self.inner(v)))

    def dual(self, x: Vector) -> Tensor:
        """That of the outer function: for total variation a field."""
        return self.outer.dual(self.inner(x))

    def tightened(self, x: Vector, dual: Tensor) -> tuple[Linear, Linear]:
        curved, moved = self.outer.tightened(self.inner(x), dual)
        return (
            lambda v: self.inner.adjoint(curved(self.inner(v))),
            lambda step: moved(self.inner(step)),
        )

    def ascend(self, p: Tensor, x: Vector, step: PerSample, weight: PerSample) -> Tensor:
        """The dual half-step: prox of step·(weight·outer)* at p + step·K x."""
        lifted = p + per_sample(step, p) * self.inner(x)
        weight = weight.clamp(min=1e-12)  # a weight of 0 has p = 0 as its limit
        scale = per_sample(weight, p)
        return scale * self.outer.prox_conjugate(lifted / scale, step / weight)

    def descend(self, x: Vector, p: Tensor, step: PerSample) -> Vector:
        """The primal half-step without its prox: x − step·Kᵀp."""
        return x - per_sample(step, x) * self.inner.adjoint(p)


def require_kind(whose: str, role: str, part: object, kind: type, advice: str) -> None:
    """For methods that need more of a functional than its value, and for parts of other kinds.

    Raises:
        ValueError: the part of the problem is not of this kind.
    """
    if not isinstance(part, kind):
        found = type(part).__name__
        raise ValueError(f"{whose} takes {kind.__name__} as its {role}, got {found}; {advice}")
