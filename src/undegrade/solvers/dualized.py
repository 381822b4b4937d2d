"""A fidelity without a proximal map, moved to the dual side of a primal–dual method."""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

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
    """x ↦ (K₁x, K₂x, …), each flattened, one after the other: shape (b, n)."""

    def __init__(self, parts: Sequence[LinearOperator], shapes: Sequence[torch.Size]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.shapes = tuple(shapes)

    def split(self, y: Flat) -> list[Tensor]:
        """The parts of a stacked field, in their own shapes."""
        pieces = y.split([shape.numel() for shape in self.shapes], dim=1)
        return [p.reshape(-1, *s) for p, s in zip(pieces, self.shapes, strict=True)]

    def forward(self, x: Image) -> Flat:
        return torch.cat([part(x).flatten(1) for part in self.parts], dim=1)

    def adjoint(self, y: Flat) -> Image:
        back = [k.adjoint(v) for k, v in zip(self.operators(), self.split(y), strict=True)]
        return torch.stack(back).sum(0)

    def operators(self) -> list[LinearOperator]:
        """The operators K₁, K₂, …, typed."""
        return [part for part in self.parts if isinstance(part, LinearOperator)]


@final
class Separable(Convex):
    """(v₁, v₂) ↦ f(v₁) + λ g(v₂) on stacked fields."""

    weight: Tensor

    def __init__(self, first: Convex, second: Convex, weight: Tensor, stack: Stack) -> None:
        super().__init__()
        self.first, self.second, self.stack = first, second, stack
        self.register_buffer("weight", weight)

    def forward(self, x: Flat) -> PerSample:
        u, v = self.stack.split(x)
        return self.first(u) + self.weight.to(x) * self.second(v)

    def prox(self, v: Flat, step: float | PerSample) -> Flat:
        first, second = self.stack.split(v)
        moved = self.first.prox(first, step), self.second.prox(second, step * self.weight.to(v))
        return torch.cat([part.flatten(1) for part in moved], dim=1)

    def conjugate(self, p: Flat) -> PerSample:
        u, v = self.stack.split(p)
        weight = self.weight.to(p).clamp(min=torch.finfo(p.dtype).tiny)
        return self.first.conjugate(u) + weight * self.second.conjugate(v / spread(weight, v))


@final
class Dualized(Composite):
    """(score, λ·prior) ∘ (A, K): an objective whose two terms both wait on the dual side.

    The two fields take their own step sizes, in the ratio of the squared norms of K and A, so that
    neither operator slows the other. `dualize` makes the objective that `PrimalDual` takes.

    References:
        Condat, A primal–dual splitting method for convex optimization (2013).
        Pock and Chambolle, Diagonal preconditioning for first order primal-dual algorithms (2011).

    Arguments:
        fidelity: −log p(y | Ax), A linear, the likelihood convex.
        prior: λ's functional g ∘ K.
        weight: λ.
        x: an image of the shape that A takes.
    """

    scale: Tensor

    def __init__(self, fidelity: Fidelity, prior: Composite, weight: Tensor, x: Image) -> None:
        super().__init__()
        A = fidelity.operator
        if not isinstance(A, LinearOperator):
            raise ValueError(
                f"a primal–dual method needs a linear operator, got {type(A).__name__}; "
                "use L-BFGS for a non-linear one"
            )
        self.prior = prior
        self.score = Score(fidelity.likelihood, fidelity.y)
        shapes = fidelity.y.shape[1:], prior.inner(x[:1]).shape[1:]
        self.stack = Stack((A, prior.inner), shapes)
        self.separable = Separable(self.score, prior.outer, weight.to(x).expand(len(x)), self.stack)
        largest = 1.05 * squared_norm(lambda u: A.adjoint(A(u)), tuple(x.shape), x)
        self.register_buffer("scale", prior.squared_norm(x) / largest, persistent=False)

    @property
    def outer(self) -> Separable:
        return self.separable

    @property
    def inner(self) -> Stack:
        return self.stack

    def squared_norm(self, x: Image) -> PerSample:
        """Of the scaled pair: twice that of K."""
        return 2 * self.prior.squared_norm(x)

    def ascend(self, p: Flat, x: Image, step: PerSample, weight: PerSample) -> Flat:
        first, second = self.stack.split(p)
        ours = step * self.scale
        lifted = first + spread(ours, first) * self.stack.operators()[0](x)
        first = self.score.prox_conjugate(lifted, ours)
        lam = weight * self.separable.weight.to(x)
        second = self.prior.ascend(second, x, step, lam)
        return torch.cat((first.flatten(1), second.flatten(1)), dim=1)


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
