"""A fidelity without a proximal map, moved to the dual side of a primal–dual method."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from undegrade.core.functional import Composite, Convex, Fidelity, Objective
from undegrade.core.image import Image, PerSample, spread
from undegrade.core.likelihood import Likelihood
from undegrade.core.linear_algebra import squared_norm
from undegrade.core.operator import LinearOperator

Flat = Float[Tensor, "b n"]


@final
class Score(Convex):
    """u ↦ −log p(y | u), a convex likelihood as a function of the prediction."""

    y: Tensor

    def __init__(self, likelihood: Likelihood, y: Tensor) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.register_buffer("y", y, persistent=False)

    def forward(self, x: Tensor) -> PerSample:
        return self.likelihood(x, self.y)

    def prox(self, v: Tensor, step: float | PerSample) -> Tensor:
        return self.likelihood.prox(v, self.y, step)

    def conjugate(self, p: Tensor) -> PerSample:
        return self.likelihood.conjugate(p, self.y)


@final
class Stack(LinearOperator):
    """x ↦ (s₁K₁x, s₂K₂x), each flattened, one after the other: shape (b, n).

    Arguments:
        first: K₁.
        second: K₂.
        shapes: the shapes of their values, without the batch dimension.
        scales: s₁ and s₂, shape (2, b) or (2, 1).
    """

    scales: Tensor

    def __init__(
        self,
        first: LinearOperator,
        second: LinearOperator,
        shapes: tuple[torch.Size, torch.Size],
        scales: Tensor,
    ) -> None:
        super().__init__()
        self.first, self.second, self.shapes = first, second, shapes
        self.register_buffer("scales", scales)

    def split(self, y: Flat) -> tuple[Tensor, Tensor]:
        """The two parts of a stacked field, in their own shapes, still scaled."""
        first, second = y.split([shape.numel() for shape in self.shapes], dim=1)
        return first.reshape(-1, *self.shapes[0]), second.reshape(-1, *self.shapes[1])

    def forward(self, x: Image) -> Flat:
        u, v = self.first(x), self.second(x)
        u, v = spread(self.scales[0], u) * u, spread(self.scales[1], v) * v
        return torch.cat((u.flatten(1), v.flatten(1)), dim=1)

    def adjoint(self, y: Flat) -> Image:
        u, v = self.split(y)
        first = self.first.adjoint(spread(self.scales[0], u) * u)
        return first + self.second.adjoint(spread(self.scales[1], v) * v)

    def initial(self, y: Flat) -> Image:
        """What the first operator makes of its part."""
        u = self.split(y)[0]
        return self.first.initial(u / spread(self.scales[0], u))


@final
class Separable(Convex):
    """(v₁, v₂) ↦ f(v₁/s₁) + λ g(v₂/s₂) on stacked fields, with the scales of the stack."""

    weight: Tensor

    def __init__(self, first: Convex, second: Convex, weight: Tensor, stack: Stack) -> None:
        super().__init__()
        self.first, self.second, self.stack = first, second, stack
        self.register_buffer("weight", weight)

    def __repr__(self) -> str:  # the stack prints itself where it is owned
        return f"Separable({self.first}, {self.second})"

    def forward(self, x: Flat) -> PerSample:
        u, v = self._unscaled(x)
        return self.first(u) + self.weight.to(x) * self.second(v)

    def prox(self, v: Flat, step: float | PerSample) -> Flat:
        first, second = self._unscaled(v)
        one, two = self.stack.scales.to(v)
        first = spread(one, first) * self.first.prox(first, step / one**2)
        second = spread(two, second) * self.second.prox(second, step * self.weight.to(v) / two**2)
        return torch.cat((first.flatten(1), second.flatten(1)), dim=1)

    def conjugate(self, p: Flat) -> PerSample:
        (u, v), (one, two) = self.stack.split(p), self.stack.scales.to(p)
        weight = self.weight.to(p).clamp(min=torch.finfo(p.dtype).tiny)
        lifted = spread(two / weight, v) * v
        return self.first.conjugate(spread(one, u) * u) + weight * self.second.conjugate(lifted)

    def _unscaled(self, x: Flat) -> tuple[Tensor, Tensor]:
        (u, v), (one, two) = self.stack.split(x), self.stack.scales.to(x)
        return u / spread(one, u), v / spread(two, v)


@final
class Dualized(Composite):
    """(score, λ·prior) ∘ (sA, K): an objective whose two terms both wait on the dual side.

    s makes the two operators equally long, so that neither slows the other down. `dualize` makes
    the objective that `PrimalDual` takes.

    References:
        Condat, A primal–dual splitting method for convex optimization (2013).
        Pock and Chambolle, Diagonal preconditioning for first order primal-dual algorithms (2011).

    Arguments:
        fidelity: −log p(y | Ax), A linear, the likelihood convex.
        prior: λ's functional g ∘ K.
        weight: λ, one number or one per sample.
        x: an image of the shape that A takes.

    Raises:
        ValueError: the operator is not linear.
    """

    bound: Tensor

    def __init__(self, fidelity: Fidelity, prior: Composite, weight: Tensor, x: Image) -> None:
        super().__init__()
        A = fidelity.operator
        if not isinstance(A, LinearOperator):
            raise ValueError(
                f"a primal–dual method needs a linear operator, got {type(A).__name__}; "
                "use L-BFGS for a non-linear one"
            )
        shapes = fidelity.y.shape[1:], prior.inner(x[:1]).shape[1:]
        largest = 1.05 * squared_norm(lambda u: A.adjoint(A(u)), tuple(x.shape), x)
        bound = prior.squared_norm(x)
        scales = torch.stack(((bound / largest).sqrt(), torch.ones_like(bound)))
        self.stack = Stack(A, prior.inner, shapes, scales)
        self.register_buffer("bound", 2 * bound, persistent=False)
        score = Score(fidelity.likelihood, fidelity.y)
        self.separable = Separable(score, prior.outer, weight.to(x).expand(len(x)), self.stack)

    @property
    def outer(self) -> Separable:
        return self.separable

    @property
    def inner(self) -> Stack:
        return self.stack

    def squared_norm(self, x: Image) -> PerSample:
        """Twice that of K, as sA is as long as K."""
        return self.bound.to(x)


def dualize(
    objective: Objective[Fidelity, Composite], x: Image, base: Convex
) -> Objective[Convex, Composite]:
    """The same objective with both of its terms on the dual side, for `PrimalDual`.

    Arguments:
        objective: fidelity + weight · prior.
        x: an image of the shape that the operator takes.
        base: what stays on the primal side: the box that x lies in. It makes the gap finite.
    """
    both = Dualized(objective.fidelity, objective.prior, objective.weight, x)
    return Objective(base, both, 1.0)
