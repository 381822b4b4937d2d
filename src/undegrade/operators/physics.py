"""Operators of DeepInverse, and of anyone who follows its conventions, as operators here."""

from collections.abc import Callable
from typing import Protocol, final, runtime_checkable

from torch import Tensor, nn

from undegrade.core.gram import Gram
from undegrade.core.image import Image
from undegrade.core.operator import LinearOperator, Operator
from undegrade.operators.diagonal import Diagonal
from undegrade.operators.function import Function


@runtime_checkable
class HasA(Protocol):
    """Anything that measures an image by `A(x)`."""

    def A(self, x: Tensor) -> Tensor: ...


@runtime_checkable
class HasAdjoint(HasA, Protocol):
    """Anything linear that also says its transpose."""

    def A_adjoint(self, y: Tensor) -> Tensor: ...  # noqa: N802


@runtime_checkable
class Decomposed(HasAdjoint, Protocol):
    """A linear physics with A = U diag(mask) Vᵀ, as deepinv's `DecomposablePhysics`."""

    mask: Tensor

    def V(self, x: Tensor) -> Tensor: ...  # noqa: N802
    def V_adjoint(self, x: Tensor) -> Tensor: ...  # noqa: N802


def from_physics(physics: HasA, start: Callable[[Tensor], Image] | None = None) -> Operator:
    """An operator from any object with `A` and `A_adjoint`, or only `A`.

    With both it is linear, and trusted to be its own transpose. With `A` alone derivatives come
    from automatic differentiation. deepinv itself is not imported.

    Arguments:
        physics: such as a `deepinv.physics.LinearPhysics`; an `nn.Module` moves with the operator.
        start: from a measurement to a first estimate, used where there is no `A_adjoint`; the
            measurement itself when not given.
    """
    if isinstance(physics, HasAdjoint):
        return LinearPhysics(physics)
    return Function(_Measuring(physics), start)


@final
class LinearPhysics(LinearOperator):
    """x ↦ physics.A(x), with physics.A_adjoint for its transpose.

    Arguments:
        physics: if it is an `nn.Module` it moves with the operator.
    """

    def __init__(self, physics: HasAdjoint) -> None:
        super().__init__()
        self.physics = physics

    def forward(self, x: Image) -> Tensor:
        return self.physics.A(x)

    def adjoint(self, y: Tensor) -> Image:
        return self.physics.A_adjoint(y)

    @property
    def gram(self) -> Gram | None:
        """|mask|² in the basis V, where the physics has a decomposition."""
        physics = self.physics
        if not isinstance(physics, Decomposed):
            return None
        return Diagonal(
            lambda x: _spread(physics.mask.abs().square(), physics.V_adjoint(x[:1])),
            physics.V_adjoint,
            lambda c, _: physics.V(c),
        )


def _spread(eigenvalues: Tensor, like: Tensor) -> Tensor:
    """With the dimensions of `like`; real."""
    return eigenvalues.to(like.real)[(None,) * (like.ndim - eigenvalues.ndim)]


class _Measuring(nn.Module):
    """Calls `A`, and owns the physics if that is a module."""

    def __init__(self, physics: HasA) -> None:
        super().__init__()
        self.physics = physics

    def forward(self, x: Image) -> Tensor:
        return self.physics.A(x)
