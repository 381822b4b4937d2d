"""The two roles of functionals in a restoration: a fidelity, and what is minimized with it."""

import math
from collections.abc import Callable
from typing import Generic, TypeAlias, TypeVar

import torch
from torch import Tensor

from undegrade.core.functional import Functional, Proximable
from undegrade.core.image import Image, PerSample, Vector, per_sample, require_shape
from undegrade.core.likelihood import Likelihood
from undegrade.core.operator import Operator


class Fidelity(Functional):
    """x ↦ −log p(y | φ(x)): how badly an image explains the measurement, in nats.

    Arguments:
        operator: the degradation φ.
        likelihood: how the measurement scatters about φ(x).
        y: what was measured.
    """

    y: Tensor

    def __init__(self, operator: Operator, likelihood: Likelihood, y: Tensor) -> None:
        super().__init__()
        self.operator, self.likelihood = operator, likelihood
        self.register_buffer("y", y, persistent=False)

    def modulus(self, x: Image) -> PerSample:
        """0: every likelihood is convex in the prediction. −∞ where φ is not linear."""
        return x.new_full((len(x),), 0.0 if self.operator.linear else -math.inf)

    def forward(self, x: Image) -> PerSample:
        prediction = self.operator(x)
        require_shape(prediction, self.y)
        return self.likelihood(prediction, self.y)

    def value_and_grad(self, x: Image) -> tuple[PerSample, Image]:
        prediction, jacobian = self.operator.linearize(x)
        require_shape(prediction, self.y)
        value, slope = self.likelihood.value_and_grad(prediction, self.y)
        del prediction  # room for what comes
        return value, jacobian.adjoint(slope)

    def curvature(self, x: Image) -> Callable[[Image], Image]:
        """v ↦ φ′(x)ᵀ W φ′(x) v: the Gauss–Newton product, W the curvature of −log p at φ(x)."""
        prediction, jacobian = self.operator.linearize(x)
        curved = self.likelihood.curvature(prediction, self.y)
        return lambda v: jacobian.adjoint(curved * jacobian(v))


F_co = TypeVar("F_co", bound=Functional, covariant=True)
G_co = TypeVar("G_co", bound=Functional, covariant=True)


class Objective(Functional, Generic[F_co, G_co]):
    """f(x) + λ g(x), for x in an optional convex set: a larger λ always smooths more.

    Solvers take the parts that they need, and say so in their types: proximal gradient asks for
    `Objective[Functional, Proximable]`. `value_and_grad` is of the smooth part f + λg.

    Arguments:
        fidelity: f.
        prior: g.
        weight: λ ≥ 0, one number or one per sample; a `Parameter` where it is to be learned.
        constraint: an indicator such as `Box(0, 1)`; None leaves x free.
    """

    weight: Tensor
    fidelity: F_co  # pyright: ignore[reportGeneralTypeIssues]
    prior: G_co  # pyright: ignore[reportGeneralTypeIssues]

    def __init__(
        self,
        fidelity: F_co,
        prior: G_co,
        weight: float | PerSample,
        constraint: Proximable | None = None,
    ) -> None:
        super().__init__()
        weight = torch.as_tensor(weight)
        if not bool((weight >= 0).all()):
            raise ValueError(f"the weight must be 0 or more, got {weight.tolist()}")
        self.fidelity, self.prior, self.constraint = fidelity, prior, constraint
        if isinstance(weight, torch.nn.Parameter):
            self.weight = weight
        else:
            self.register_buffer("weight", weight)

    def forward(self, x: Vector) -> PerSample:
        value = self.fidelity(x) + self.weights(x) * self.prior(x)
        return value if self.constraint is None else value + self.constraint(x)

    def value_and_grad(self, x: Vector) -> tuple[PerSample, Vector]:
        f, df = self.fidelity.value_and_grad(x)
        g, dg = self.prior.value_and_grad(x)
        weight = self.weights(x)
        return f + weight * g, torch.addcmul(df, per_sample(weight, x), dg)

    def hvp(self, x: Vector, v: Vector) -> Vector:
        curved = self.prior.hvp(x, v)
        return torch.addcmul(self.fidelity.hvp(x, v), per_sample(self.weights(x), x), curved)

    def curvature(self, x: Vector) -> Callable[[Vector], Vector]:
        fidelity, prior = self.fidelity.curvature(x), self.prior.curvature(x)
        weight = per_sample(self.weights(x), x)
        return lambda v: torch.addcmul(fidelity(v), weight, prior(v))

    def modulus(self, x: Vector) -> PerSample:
        weight = self.weights(x)
        prior = torch.where(weight > 0, weight * self.prior.modulus(x), 0.0)
        return self.fidelity.modulus(x) + prior

    def weights(self, x: Vector) -> PerSample:
        """λ of every sample of x."""
        return self.weight.to(x).expand(len(x))

    def project(self, x: Vector) -> Vector:
        """The nearest point of the constraint set."""
        return x if self.constraint is None else self.constraint.prox(x, 1.0)


Smooth: TypeAlias = Objective[Functional, Functional]
"""What descent methods take: both parts have gradients."""
