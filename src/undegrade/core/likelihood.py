"""The random part η of a degradation: how to sample a measurement, and how to score it."""

import abc
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from undegrade.core.image import PerSample, dot, per_sample, ratio
from undegrade.core.listed import Listed, all_names


class Likelihood(nn.Module, metaclass=Listed):
    """y ~ p(y | prediction), independent entries given the noiseless prediction φ(x)."""

    if TYPE_CHECKING:

        def __call__(self, prediction: Tensor, y: Tensor) -> PerSample: ...

    def __dir__(self) -> list[str]:
        return all_names(super().__dir__())

    @abc.abstractmethod
    def sample(self, prediction: Tensor, generator: torch.Generator) -> Tensor:
        """A measurement drawn from p(· | prediction); the caller's generator moves on."""

    @abc.abstractmethod
    def forward(self, prediction: Tensor, y: Tensor) -> PerSample:
        """−log p(y | prediction), up to a constant that does not depend on the prediction."""

    @abc.abstractmethod
    def curvature(self, prediction: Tensor, y: Tensor) -> Tensor:
        """W ≥ 0 of the model −log p(y | u + d) ≈ −log p(y | u) + ⟨slope, d⟩ + ½ Σ W d² about u.

        Fisher's information, E[−∂² log p] over all y that u can give, where that is finite and
        known; above a kink a parabola that touches and majorizes −log p (the lagged one).
        """

    @property
    def noise(self) -> "NoiseModel":
        """This likelihood, which must be a `NoiseModel`.

        Raises:
            ValueError: it is not.
        """
        raise ValueError(
            f"expected noise with a precision and a proximal map, got {type(self).__name__}"
        )

    def about(self, y: Tensor) -> "Likelihood":
        """This likelihood, with what a measurement tells as a whole and its entries do not."""
        del y
        return self

    def value_and_grad(self, prediction: Tensor, y: Tensor) -> tuple[PerSample, Tensor]:
        """−log p and its gradient in the prediction."""

        def total(u: Tensor) -> tuple[Tensor, PerSample]:
            value = self(u, y)
            return value.sum(), value

        gradient, value = torch.func.grad(total, has_aux=True)(prediction)
        return value, gradient


class NoiseModel(Likelihood):
    """A convex −log p of measurements in the units of the prediction, with all that is known of it.

    Linear methods read its precision; proximal and primal–dual ones its prox and conjugate.
    """

    @property
    def noise(self) -> "NoiseModel":
        return self

    @abc.abstractmethod
    def precision(self, y: Tensor) -> Tensor:
        """1/variance of each entry as far as y itself tells; 0 for an entry that is lost.

        This is the quadratic model ½ Σ precision·(prediction − y)² of −log p. Linear methods use
        it, and Σ precision·(φ(x) − y)² is about the number of trusted entries at the truth.
        """

    @abc.abstractmethod
    def stronger(self, factor: float) -> "Likelihood":
        """The same kind of noise with deviations that are `factor` times as large."""

    def scaled(self, factor: PerSample) -> "NoiseModel | None":
        """The noise of factor·y in units of factor·x, where this is that of y.

        None where it is of another kind in other units, or that is not known.
        """
        del factor
        return None

    @property
    def additive(self) -> bool:
        """Whether y − prediction has the same distribution whatever the prediction is."""
        return False

    @property
    def smooth(self) -> bool:
        """Whether −log p has a gradient everywhere, as descent methods need."""
        return True

    @property
    def quadratic(self) -> bool:
        """Whether −log p is its own quadratic model, Σ precision(y)·(prediction − y)²/2."""
        return False

    @property
    def closed_form(self) -> bool:
        """Whether prox and conjugate are formulas: elsewhere descent is quicker than they are."""
        return True

    @abc.abstractmethod
    def prox(self, v: Tensor, y: Tensor, step: float | PerSample) -> Tensor:
        """Argmin over predictions u of −step·log p(y | u) + ½‖u − v‖²."""

    @abc.abstractmethod
    def conjugate(self, p: Tensor, y: Tensor) -> PerSample:
        """Sup over predictions u of ⟨p, u⟩ + log p(y | u), with the constant of `forward`."""


class QuadraticNoise(NoiseModel):
    """Noise whose −log p is its quadratic model, ½ Σ w (u − y)²: all follows from w = precision(y).

    Subclasses define `sample`, `precision` and `stronger`.
    """

    @property
    def quadratic(self) -> bool:
        return True

    def forward(self, prediction: Tensor, y: Tensor) -> PerSample:
        return self.value_and_grad(prediction, y)[0]

    def value_and_grad(self, prediction: Tensor, y: Tensor) -> tuple[PerSample, Tensor]:
        difference = prediction - y
        del prediction  # room for what comes
        slope = self.precision(y) * difference
        return 0.5 * dot(difference, slope), slope

    def curvature(self, prediction: Tensor, y: Tensor) -> Tensor:
        """The precision, exactly."""
        del prediction
        return self.precision(y)

    def prox(self, v: Tensor, y: Tensor, step: float | PerSample) -> Tensor:
        """(v + t y)/(1 + t), t = step·w."""
        t = per_sample(step, v) * self.precision(y)
        return (v + t * y) / (1 + t)

    def conjugate(self, p: Tensor, y: Tensor) -> PerSample:
        """Σ p y + ½ p²/w; infinite unless p is 0, but for rounding, at entries that are lost."""
        w = self.precision(y)
        trusted = w > 0
        value = torch.where(trusted, p * (y + 0.5 * ratio(p, w)), 0.0).flatten(1).sum(1)
        stray = torch.where(trusted, 0.0, p.abs()).flatten(1).amax(1)
        # a slope is as large as its entry's √w; its rounding comes from sums over such slopes
        rounding = 64 * torch.finfo(p.dtype).eps * w.flatten(1).amax(1).sqrt()
        return torch.where(stray > rounding, torch.inf, value)
