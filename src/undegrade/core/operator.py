"""The deterministic part φ of a degradation: maps between batches of images."""

import abc
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from undegrade.core.image import Image, PerSample, per_sample
from undegrade.core.linear_algebra import conjugate_gradient
from undegrade.core.listed import Listed, all_names


class Operator(nn.Module, metaclass=Listed):
    """A differentiable map φ, possibly non-linear. Subclasses define `forward` and `initial`."""

    if TYPE_CHECKING:  # nn.Module leaves calls untyped; say it once, here

        def __call__(self, x: Image) -> Tensor: ...

    def __dir__(self) -> list[str]:
        return all_names(super().__dir__())

    @abc.abstractmethod
    def forward(self, x: Image) -> Tensor:
        """φ(x)."""

    @abc.abstractmethod
    def initial(self, y: Tensor) -> Image:
        """A first estimate of x from the measurement, in the shape of x."""

    def jvp(self, x: Image, u: Image) -> Tensor:
        """φ′(x) u, by forward-mode differentiation."""
        return torch.func.jvp(self, (x,), (u,))[1]

    def vjp(self, x: Image, v: Tensor) -> Image:
        """φ′(x)ᵀ v, by reverse-mode differentiation."""
        return torch.func.vjp(self, x)[1](v)[0]

    def __matmul__(self, inner: "Operator") -> "Operator":
        """`A @ B` is x ↦ A(B(x)); it stays linear when both are."""
        if isinstance(self, LinearOperator) and isinstance(inner, LinearOperator):
            return LinearComposition(self, inner)
        return Composition(self, inner)


class LinearOperator(Operator):
    """An operator with A(ax + by) = aA(x) + bA(y). Subclasses define `forward` and `adjoint`."""

    @abc.abstractmethod
    def adjoint(self, y: Tensor) -> Image:
        """Aᵀy: ⟨Ax, y⟩ = ⟨x, Aᵀy⟩."""

    def initial(self, y: Tensor) -> Image:
        """Aᵀy / Aᵀ1: an average of the measurements that a pixel took part in.

        Good for non-negative A (blur, decimation, mask). Pixels that took part in none are 0.
        """
        reach = self.adjoint(torch.ones_like(y))
        return self.adjoint(y) / reach.clamp(min=torch.finfo(y.dtype).eps)

    def jvp(self, x: Image, u: Image) -> Tensor:
        """A u: a linear map is its own derivative."""
        del x
        return self(u)

    def vjp(self, x: Image, v: Tensor) -> Image:
        """Aᵀ v."""
        del x
        return self.adjoint(v)

    @property
    def closed_form(self) -> bool:
        """Whether `normal_solve` is exact and costs about as much as one A and one Aᵀ."""
        return False

    def coercivity(self, x: Image) -> PerSample:
        """m ≥ 0 with ‖Au‖² ≥ m‖u‖² for images shaped like x; 0 unless an operator knows better."""
        return x.new_zeros(len(x))

    def normal_solve(self, b: Image, shift: float | PerSample) -> Image:
        """(AᵀA + shift·I)⁻¹ b, shift > 0 (one number, or one per sample).

        By conjugate gradients to a relative residual of 1e-4 (at most 50 iterations), unless the
        operator has a closed form and says so in `closed_form`.
        """

        def normal(x: Image) -> Image:
            return self.adjoint(self(x)) + per_sample(shift, x) * x

        return conjugate_gradient(normal, b, tolerance=1e-4, iterations=50)


class Composition(Operator):
    """x ↦ outer(inner(x))."""

    def __init__(self, outer: Operator, inner: Operator) -> None:
        super().__init__()
        self.outer, self.inner = outer, inner

    def forward(self, x: Image) -> Tensor:
        return self.outer(self.inner(x))

    def initial(self, y: Tensor) -> Image:
        return self.inner.initial(self.outer.initial(y))


class LinearComposition(LinearOperator):
    """x ↦ outer(inner(x)), both linear."""

    def __init__(self, outer: LinearOperator, inner: LinearOperator) -> None:
        super().__init__()
        self.outer, self.inner = outer, inner

    def forward(self, x: Image) -> Tensor:
        return self.outer(self.inner(x))

    def adjoint(self, y: Tensor) -> Image:
        return self.inner.adjoint(self.outer.adjoint(y))

    def initial(self, y: Tensor) -> Image:
        return self.inner.initial(self.outer.initial(y))
