"""A fidelity without a proximal map, moved to the dual side of a primal–dual method."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from undegrade.core.functional import Composite, Convex
from undegrade.core.image import Image, PerSample, followed, per_sample
from undegrade.core.likelihood import NoiseModel
from undegrade.core.objective import Fidelity, Objective
from undegrade.core.operator import LinearOperator
from undegrade.linear_algebra.power_iteration import squared_norm

Flat = Float[Tensor, "b n"]
_MARGIN = 1.05  # power iteration estimates a norm from below


@final
class Stack(LinearOperator):
    """x ↦ (sAx, Kx), each flattened, one after the other: shape (b, n).

    Arguments:
        first: A.
        second: K.
        shapes: the shapes of their values, without the batch dimension.
        scale: s, shape (b,) or (1,).
    """

    scale: Tensor

    def __init__(
        self,
        first: LinearOperator,
        second: LinearOperator,
        shapes: tuple[torch.Size, torch.Size],
        scale: Tensor,
    ) -> None:
        super().__init__()
        self.first, self.second, self.shapes = first, second, shapes
        self.register_buffer("scale", scale)

    def split(self, y: Flat) -> tuple[Tensor, Tensor]:
        """Views of the two parts of a stacked field, in their own shapes; the first is scaled."""
        first, second = y.split([shape.numel() for shape in self.shapes], dim=1)
        return first.unflatten(1, self.shapes[0]), second.unflatten(1, self.shapes[1])

    def forward(self, x: Image) -> Flat:
        u = self.first(x)
        return torch.cat(((per_sample(self.scale, u) * u).flatten(1), self.second(x).flatten(1)), 1)

    def adjoint(self, y: Flat) -> Image:
        u, v = self.split(y)
        return self.first.adjoint(per_sample(self.scale, u) * u) + self.second.adjoint(v)

    def initial(self, y: Flat) -> Image:
        """What the first operator makes of its part."""
        u = self.split(y)[0]
        return self.first.initial(u / per_sample(self.scale, u))


@final
class Separable(Convex):
    """(u, v) ↦ −log p(y | u/s) + λ g(v) on stacked fields, s the scale of the stack."""

    y: Tensor
    weight: Tensor

    def __init__(
        self, noise: NoiseModel, y: Tensor, second: Convex, weight: Tensor, stack: Stack
    ) -> None:
        super().__init__()
        self.noise, self.second, self.stack = noise, second, stack
        self.register_buffer("y", y, persistent=False)
        self.register_buffer("weight", weight)

    def __repr__(self) -> str:  # the stack prints itself where it is owned
        return f"Separable({self.noise}, {self.second})"

    def forward(self, x: Flat) -> PerSample:
        u, v = self.stack.split(x)
        first = self.noise(u / per_sample(self.stack.scale, u), self.y)
        return first + self.weight.to(x) * self.second(v)

    def prox(self, v: Flat, step: float | PerSample) -> Flat:
        first, second = self.stack.split(v)
        first = self.prox_first(first, step)
        second = self.second.prox(second, step * self.weight.to(v))
        return torch.cat((first.flatten(1), second.flatten(1)), dim=1)

    def prox_first(self, u: Tensor, step: float | PerSample) -> Tensor:
        """The prox of u ↦ −log p(y | u/s)."""
        scale = per_sample(self.stack.scale, u)
        return scale * self.noise.prox(u / scale, self.y, step / self.stack.scale.to(u) ** 2)

    def conjugate(self, p: Flat) -> PerSample:
        u, v = self.stack.split(p)
        weight = self.weight.to(p).clamp(min=torch.finfo(p.dtype).tiny)
        second = weight * self.second.conjugate(v / per_sample(weight, v))
        return self.noise.conjugate(per_sample(self.stack.scale, u) * u, self.y) + second


@final
class Dualized(Composite):
    """(−log p, λ·prior) ∘ (sA, K): an objective whose two terms both wait on the dual side.

    s makes the two operators equally long, so that neither slows the other down. `dualize` makes
    the objective that `PrimalDual` takes. The half-steps of the prior are its own, compiled ones
    included.

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
        A = fidelity.operator.as_linear("a primal–dual method needs one, L-BFGS does not")
        self.prior = prior
        shapes = fidelity.y.shape[1:], prior.inner(x[:1]).shape[1:]
        largest = _MARGIN * squared_norm(lambda u: A.adjoint(A(u)), tuple(x.shape), x)
        bound = prior.squared_norm(x)
        self.stack = Stack(A, prior.inner, shapes, (bound / largest).sqrt())
        self.register_buffer("bound", 2 * bound, persistent=False)
        weight = weight.to(x).expand(len(x))
        noise, y = fidelity.likelihood.noise, fidelity.y
        self.separable = Separable(noise, y, prior.outer, weight, self.stack)

    @property
    def outer(self) -> Separable:
        return self.separable

    @property
    def inner(self) -> Stack:
        return self.stack

    def squared_norm(self, x: Image) -> PerSample:
        """Twice that of K, as sA is as long as K."""
        return self.bound.to(x)

    def ascend(self, p: Flat, x: Image, step: PerSample, weight: PerSample) -> Flat:
        if followed(p, x, step, weight, *self.parameters(), *self.buffers()):
            return super().ascend(p, x, step, weight)  # what follows overwrites p
        u, v = self.stack.split(p)
        weight = weight.clamp(min=1e-12)  # of a weight of 0, p = 0 is the limit
        # u ← u + σsAx, less σ times the prox of weight/σ·f at (u + σsAx)/σ: Moreau's identity
        u += per_sample(step * self.stack.scale.to(x), u) * self.stack.first(x)
        nearest = self.separable.prox_first(u / per_sample(step, u), weight / step)
        u.sub_(nearest.mul_(per_sample(step, u)))
        v.copy_(self.prior.ascend(v, x, step, weight * self.separable.weight.to(x)))
        return p

    def descend(self, x: Image, p: Flat, step: PerSample) -> Image:
        u, v = self.stack.split(p)
        x = x - per_sample(step * self.stack.scale.to(x), x) * self.stack.first.adjoint(u)
        return self.prior.descend(x, v, step)


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
