"""The estimate and the likelihood's gradient, as features."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from undegrade.core.image import Image, PerSample, per_sample
from undegrade.core.objective import Fidelity
from undegrade.core.parametrization import Parametrization
from undegrade.learned.features import Estimate, Shown
from undegrade.learned.quadratic_model import noise


@final
class GradientFeatures(nn.Module):
    """(η, ∇_η L·v/(v + ε)): the estimate and the likelihood's gradient, as in the papers.

    v is the noise variance, so that for Gaussian noise the second part is Aᵀ(Ax − y)/(v + ε) times
    ψ′(η): large, but bounded, where the measurement is exact. ε is learned.

    It works for any differentiable operator. It is slow for ill-conditioned blurs, whose gradient
    hardly shows what is missing.

    References:
        Putzky and Welling (2017), equations 7–9; the LGD project.

    Arguments:
        differentiable: whether training differentiates through ∇L.
        noise_level: whether a map of √v stands beside them, which the papers have not.
    """

    def __init__(self, *, differentiable: bool = True, noise_level: bool = False) -> None:
        super().__init__()
        self.differentiable, self.noise_level = differentiable, noise_level
        self.log_epsilon = nn.Parameter(torch.tensor(-6.0))  # ε = 0.0025, noise of 13 gray levels

    def channels(self, colors: int) -> int:
        """Estimate and gradient, and the noise level."""
        return 2 * colors + self.noise_level

    @property
    def local(self) -> bool:
        return True

    def prepare(self, problem: Fidelity, x0: Image, steps: int) -> tuple[Image, PerSample]:
        """The start as it is, and the noise variance."""
        del steps
        return x0, noise(problem)[0].square()

    def compute(
        self,
        problem: Fidelity,
        prepared: PerSample,
        latent: Tensor,
        parametrization: Parametrization,
        iteration: int,
    ) -> Shown:
        """η and the scaled gradient."""
        del iteration
        seen = latent if self.differentiable else latent.detach()
        slope = problem.value_and_grad(parametrization.image(seen))[1]
        gradient = parametrization.pullback(seen, slope)
        scale = prepared / (prepared + torch.nn.functional.softplus(self.log_epsilon))
        images = torch.cat((latent, per_sample(scale, latent) * gradient), 1)
        level = per_sample(prepared.sqrt(), latent).expand_as(latent[:, :1])
        return Shown(latent, images, level if self.noise_level else images[:, :0])

    def finish(
        self,
        problem: Fidelity,
        prepared: PerSample,
        x: Image,
        estimate: Estimate | None = None,
    ) -> Image:
        """The last estimate as it is."""
        del problem, prepared, estimate
        return x


@final
@dataclass(frozen=True, kw_only=True)
class GradientSettings:
    """Settings of `GradientFeatures`, whose ε is learned and so not among them.

    Arguments:
        differentiable: whether training differentiates through ∇L.
        noise_level: whether the cell sees the noise level as a map.
    """

    differentiable: bool = True
    noise_level: bool = False

    def build(self) -> GradientFeatures:
        """The features, untrained."""
        return GradientFeatures(differentiable=self.differentiable, noise_level=self.noise_level)
