"""What a learned method is shown of a problem: the degradation reaches the network only here."""

from typing import NamedTuple, Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn

from undegrade.core.image import Image, per_sample
from undegrade.core.objective import Fidelity
from undegrade.core.parametrization import Parametrization
from undegrade.learned.quadratic_model import Known, noise


class Seen(NamedTuple):
    """What a cell is shown, and where it stands: its update is added to `base`."""

    base: Image
    features: Tensor


@runtime_checkable
class Evidence(Protocol):
    """What a cell is shown. `channels` counts them for images of `colors` channels."""

    def channels(self, colors: int) -> int: ...
    def start(self, problem: Fidelity, x0: Image) -> tuple[Image, Known]: ...
    def look(
        self, problem: Fidelity, known: Known, latent: Tensor, link: Parametrization, iteration: int
    ) -> Seen: ...
    def finish(self, problem: Fidelity, known: Known, x: Image) -> Image: ...


@final
class GradientEvidence(nn.Module):
    """(η, ∇_η L·v/(v + ε)): the estimate and the likelihood's gradient, as in the papers.

    v is the noise variance, so that for Gaussian noise the second part is Aᵀ(Ax − y)/(v + ε) times
    ψ′(η): large, but bounded, where the measurement is exact. ε is learned.

    It works for any differentiable operator. It is slow for ill-conditioned blurs, whose gradient
    hardly shows what is missing.

    References:
        Putzky and Welling (2017), equations 7–9; the LGD project.

    Arguments:
        differentiable: whether training differentiates through ∇L.
    """

    def __init__(self, *, differentiable: bool = True) -> None:
        super().__init__()
        self.differentiable = differentiable
        self.log_epsilon = nn.Parameter(torch.tensor(-6.0))

    def channels(self, colors: int) -> int:
        """Estimate and gradient."""
        return 2 * colors

    def start(self, problem: Fidelity, x0: Image) -> tuple[Image, Known]:
        """Starts where it is told to."""
        std, weights = noise(problem)
        return x0, Known(std, weights, std.new_ones(1, 1, 1, 1), x0[:, :0])

    def look(
        self, problem: Fidelity, known: Known, latent: Tensor, link: Parametrization, iteration: int
    ) -> Seen:
        """η and the scaled gradient."""
        del iteration
        seen = latent if self.differentiable else latent.detach()
        gradient = problem.value_and_grad(link.image(seen))[1] * link.slope(seen)
        variance = known.std.square()
        epsilon = torch.nn.functional.softplus(self.log_epsilon)
        scale = variance / (variance + epsilon)
        return Seen(latent, torch.cat((latent, per_sample(scale, latent) * gradient), 1))

    def finish(self, problem: Fidelity, known: Known, x: Image) -> Image:
        """The last estimate as it is."""
        del problem, known
        return x
