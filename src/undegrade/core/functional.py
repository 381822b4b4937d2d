"""Real-valued functions of an image: fidelities and priors are the two roles."""

import abc
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from torch import Tensor

from undegrade.core.image import Image, PerSample, spread
from undegrade.core.likelihood import Likelihood
from undegrade.core.operator import LinearOperator, Operator


class Functional(torch.nn.Module, abc.ABC):
    """f: image → ℝ, one value per sample."""

    if TYPE_CHECKING:

        def __call__(self, x: Tensor) -> PerSample: ...

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


class Proximable(Functional):
    """A functional whose proximal map is known in closed form or to high accuracy."""

    @abc.abstractmethod
    def prox(self, v: Tensor, step: float | PerSample) -> Tensor:
        """argminₓ step·f(x) + ½‖x − v‖²."""


class Convex(Proximable):
    """A proximable convex functional whose conjugate is known, so that duality gaps are."""

    def modulus(self, x: Tensor) -> PerSample:
        """m ≥ 0 such that f − m/2·‖x‖² is still convex; 0 unless a subclass knows better."""
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
        scale = spread(step, v)
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
    def squared_norm(self, x: Image) -> PerSample:
        """A bound on ‖K‖² for images of the shape of x."""

    def forward(self, x: Image) -> PerSample:
        return self.outer(self.inner(x))

    def value_and_grad(self, x: Image) -> tuple[PerSample, Image]:
        value, gradient = self.outer.value_and_grad(self.inner(x))
        return value, self.inner.adjoint(gradient)

    def ascend(self, p: Tensor, x: Image, step: PerSample, weight: PerSample) -> Tensor:
        """The dual half-step: prox of step·(weight·outer)* at p + step·K x."""
        lifted = p + spread(step, p) * self.inner(x)
        weight = weight.clamp(min=1e-12)  # a weight of 0 has p = 0 as its limit
        scale = spread(weight, p)
        return scale * self.outer.prox_conjugate(lifted / scale, step / weight)

    def descend(self, x: Image, p: Tensor, step: PerSample) -> Image:
        """The primal half-step without its prox: x − step·Kᵀp."""
        return x - spread(step, x) * self.inner.adjoint(p)


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

    def forward(self, x: Image) -> PerSample:
        return self.likelihood(self.operator(x), self.y)

    def value_and_grad(self, x: Image) -> tuple[PerSample, Image]:
        value, slope = self.likelihood.value_and_grad(self.operator(x), self.y)
        return value, self.operator.vjp(x, slope)

    def gauss_newton(self, x: Image, v: Image) -> Image:
        """φ′(x)ᵀ H φ′(x) v, with H the Hessian of −log p in the prediction."""

        def slope(prediction: Tensor) -> Tensor:
            return self.likelihood.value_and_grad(prediction, self.y)[1]

        bent = torch.func.jvp(slope, (self.operator(x),), (self.operator.jvp(x, v),))[1]
        return self.operator.vjp(x, bent)


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

    def forward(self, x: Image) -> PerSample:
        value = self.fidelity(x) + self.weight.to(x) * self.prior(x)
        return value if self.constraint is None else value + self.constraint(x)

    def value_and_grad(self, x: Image) -> tuple[PerSample, Image]:
        f, df = self.fidelity.value_and_grad(x)
        g, dg = self.prior.value_and_grad(x)
        weight = self.weight.to(x)
        return f + weight * g, torch.addcmul(df, spread(weight, x), dg)

    def hvp(self, x: Image, v: Image) -> Image:
        curved = self.prior.hvp(x, v)
        return torch.addcmul(self.fidelity.hvp(x, v), spread(self.weight.to(x), x), curved)

    def project(self, x: Image) -> Image:
        """The nearest image in the constraint set."""
        return x if self.constraint is None else self.constraint.prox(x, 1.0)
