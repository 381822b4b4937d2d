"""The deterministic part φ of a degradation: maps between batches of images."""

import abc
import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from undegrade.core.gram import Gram
from undegrade.core.image import Image, dot, per_sample, ratio, require_tensor
from undegrade.core.listed import Listed, all_names

_NOTHING = 1e-6  # of the largest entry: what transforms leave of a 0


class Operator(nn.Module, metaclass=Listed):
    """A differentiable map φ, possibly non-linear. Subclasses define `forward` and `initial`."""

    def __call__(self, x: Image) -> Tensor:
        require_tensor(x, type(self).__name__)
        return super().__call__(x)

    def __dir__(self) -> list[str]:
        return all_names(super().__dir__())

    @abc.abstractmethod
    def forward(self, x: Image) -> Tensor:
        """φ(x)."""

    @abc.abstractmethod
    def initial(self, y: Tensor) -> Image:
        """A first estimate of x from the measurement, in the shape of x."""

    def linearize(self, x: Image) -> "tuple[Tensor, LinearOperator]":
        """φ(x), and the Jacobian φ′(x) as a linear operator, from one evaluation of φ.

        Products with φ′(x) and its transpose never evaluate φ again, however many there are. They
        are differentiable in x and in the operator's own parameters. By default both come from
        reverse-mode differentiation, φ′(x) by differentiating φ′(x)ᵀ v in v.
        """
        value, back, *_ = torch.func.vjp(self, x)
        return value, _Jacobian(lambda v: back(v)[0], torch.zeros_like(value))

    def lost(self, y: Tensor) -> Tensor | None:
        """True at entries of y that no x has an influence on: what they hold says nothing.

        Of a shape that spreads to that of y; None where there is none, or none is known.
        """
        del y
        return None

    @property
    def linear(self) -> bool:
        """Whether φ is known to be linear."""
        return False

    @property
    def gram(self) -> Gram | None:
        """AᵀA, where the operator is linear and knows it in closed form."""
        return None

    @property
    def interior(self) -> "Operator | None":
        """The same map on a piece of a picture, of whose y all is known: without what lies past it.

        A piece of y in its middle is what this makes of a piece of x that is larger by the same
        rows above and below, and columns left and right. None where no piece of x is enough.
        """
        return None

    @property
    def unbounded(self) -> "Operator | None":
        """The same map of a larger x, without a guess at what lies past the border of the picture.

        None where nothing is guessed: there is nothing past it, or it is known.
        """
        return None

    def as_linear(self, advice: str) -> "LinearOperator":
        """This operator, which must be linear.

        Raises:
            ValueError: it is not; the message ends with the advice.
        """
        raise ValueError(f"expected a linear operator, got {type(self).__name__}; {advice}")

    def __matmul__(self, inner: "Operator") -> "Operator":
        """`A @ B` is x ↦ A(B(x)); it stays linear when both are, and is B or A beside identity."""
        return inner.followed_by(self)

    def followed_by(self, outer: "Operator") -> "Operator":
        """x ↦ outer(φ(x)): `outer @ self`, for what knows better than to compose."""
        if isinstance(self, LinearOperator) and isinstance(outer, LinearOperator):
            return LinearComposition(outer, self)
        return Composition(outer, self)


class LinearOperator(Operator):
    """An operator with A(ax + by) = aA(x) + bA(y). Subclasses define `forward` and `adjoint`."""

    @abc.abstractmethod
    def adjoint(self, y: Tensor) -> Image:
        """Aᵀy: ⟨Ax, y⟩ = ⟨x, Aᵀy⟩."""

    def forward_adjoint(self, y: Tensor) -> Tensor:
        """AAᵀy, one after the other; for what knows a shorter way."""
        return self(self.adjoint(y))

    def lost(self, y: Tensor) -> Tensor | None:
        """Where Ax is 0 for an x of random numbers: only empty rows of A do that."""
        generator = torch.Generator().manual_seed(0)
        x = self.initial(torch.zeros_like(y))
        seen = self(torch.rand(x.shape, generator=generator, dtype=x.dtype).to(x)).abs()
        least = _NOTHING * per_sample(seen.flatten(1).amax(1), seen)
        lost = seen <= least
        return lost if bool(lost.any()) else None

    @property
    def linear(self) -> bool:
        return True

    def initial(self, y: Tensor) -> Image:
        """t Aᵀy with the t that minimizes ‖A(t Aᵀy) − y‖: one step of steepest descent from 0."""
        descent = self.adjoint(y)
        lifted = self(descent)
        return per_sample(ratio(dot(descent, descent), dot(lifted, lifted)), descent) * descent

    def linearize(self, x: Image) -> "tuple[Tensor, LinearOperator]":
        """A x, and A: a linear map is its own derivative."""
        return self(x), self

    def as_linear(self, advice: str) -> "LinearOperator":
        del advice
        return self


class _Jacobian(LinearOperator):
    """φ′(x), from the map v ↦ φ′(x)ᵀ v.

    The first product with φ′(x) differentiates that map in v. This evaluates the factors of φ′(x)
    for good; transposed once more, it is also the faster way to φ′(x)ᵀ v from then on.

    Arguments:
        pull: v ↦ φ′(x)ᵀ v.
        zero: the v = 0 in the shape of a measurement.
    """

    def __init__(self, pull: Callable[[Tensor], Image], zero: Tensor) -> None:
        super().__init__()
        self._pull, self._zero = pull, zero

    @functools.cached_property
    def _push(self) -> Callable[[Image], Tensor]:
        image, push, *_ = torch.func.vjp(self._pull, self._zero)
        self._pull = _transposed(lambda u: push(u)[0], torch.zeros_like(image))
        return lambda u: push(u)[0]

    def forward(self, x: Image) -> Tensor:
        return self._push(x)

    def adjoint(self, y: Tensor) -> Image:
        return self._pull(y)


def _transposed(linear: Callable[[Tensor], Tensor], zero: Tensor) -> Callable[[Tensor], Tensor]:
    """The transpose of a linear map, by differentiating it."""
    _, back, *_ = torch.func.vjp(linear, zero)
    return lambda v: back(v)[0]


class Composed(Operator):
    """x ↦ outer(inner(x))."""

    def __init__(self, outer: Operator, inner: Operator) -> None:
        super().__init__()
        self.outer, self.inner = outer, inner

    def forward(self, x: Image) -> Tensor:
        return self.outer(self.inner(x))

    def initial(self, y: Tensor) -> Image:
        return self.inner.initial(self.outer.initial(y))

    @abc.abstractmethod
    def lost(self, y: Tensor) -> Tensor | None:
        """What either part loses."""

    @property
    def interior(self) -> Operator | None:
        """That of the outer operator on that of the inner one."""
        outer, inner = self.outer.interior, self.inner.interior
        return None if outer is None or inner is None else outer @ inner

    @property
    def unbounded(self) -> Operator | None:
        """The interior, where one part guesses and no other one knows what lies past the border."""
        parts = self.outer, self.inner
        known = any(part.unbounded is None and part.interior is not part for part in parts)
        guessed = any(part.unbounded is not None for part in parts)
        return self.interior if guessed and not known else None


class Composition(Composed):
    """x ↦ outer(inner(x)), not known to be linear."""

    def linearize(self, x: Image) -> tuple[Tensor, LinearOperator]:
        """By the chain rule, so that a linear part keeps its own transpose."""
        between, inner = self.inner.linearize(x)
        value, outer = self.outer.linearize(between)
        return value, LinearComposition(outer, inner)

    def lost(self, y: Tensor) -> Tensor | None:
        """What the outer operator loses."""
        return self.outer.lost(y)


class LinearComposition(Composed, LinearOperator):
    """x ↦ outer(inner(x)), both linear."""

    outer: LinearOperator
    inner: LinearOperator

    def __init__(self, outer: LinearOperator, inner: LinearOperator) -> None:
        super().__init__(outer, inner)

    def adjoint(self, y: Tensor) -> Image:
        return self.inner.adjoint(self.outer.adjoint(y))

    def lost(self, y: Tensor) -> Tensor | None:
        """What the outer operator loses, where the inner one loses nothing."""
        if self.inner.lost(self.outer.initial(torch.zeros_like(y))) is None:
            return self.outer.lost(y)
        return LinearOperator.lost(self, y)
