"""Our restorers where DeepInverse expects a reconstruction model."""

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn

from undegrade.core.image import Image, select
from undegrade.core.likelihood import Likelihood
from undegrade.core.measurement import Measurement, Restorer
from undegrade.core.stopping import Status
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.laplace import Laplace
from undegrade.likelihoods.noise_level import estimate_noise_std
from undegrade.likelihoods.poisson import Poisson
from undegrade.likelihoods.salt_and_pepper import SaltAndPepper
from undegrade.operators.physics import from_physics

_LEAST_STD = 1 / (255 * 12**0.5)  # rounding to 8 bits


@final
class Reconstruction(nn.Module):
    """`model(y, physics)`: a restorer in the calling convention of deepinv.

    deepinv is not imported; any object with `A`, and `A_adjoint` where it is linear, will do.

    Arguments:
        restorer: the method, such as `Variational()`.
        likelihood: the noise. When not given it is read from `physics.noise_model`, if that is
            deepinv's Gaussian, Laplace, Poisson (normalized) or salt-and-pepper noise; no noise
            (`ZeroNoise`) means that its level is estimated from the measurement.

    A sample whose restoration diverged is NaN, since there is no status beside it.

    Raises:
        ValueError: the noise model is of another kind and no likelihood was given.
    """

    def __init__(self, restorer: Restorer, likelihood: Likelihood | None = None) -> None:
        super().__init__()
        self.restorer, self.likelihood = restorer, likelihood

    def forward(self, y: Tensor, physics: Any) -> Image:
        likelihood = self.likelihood or _likelihood(physics.noise_model, y)
        result = self.restorer.restore(Measurement(y, from_physics(physics), likelihood))
        lost = [status is Status.DIVERGED for status in result.status]
        return select(torch.tensor(lost, device=y.device), result.x * torch.nan, result.x)


def _likelihood(noise: Any, y: Tensor) -> Likelihood:
    kind = type(noise).__name__
    if kind not in _LIKELIHOODS:
        raise ValueError(
            f"the noise model must be one of {', '.join(_LIKELIHOODS)}, got {kind}: "
            f"give the likelihood instead"
        )
    return _LIKELIHOODS[kind](noise, y)


def _poisson(noise: Any, y: Tensor) -> Likelihood:
    del y
    if not bool(noise.normalize):
        raise ValueError("Poisson noise must be normalized to the range of the image")
    return Poisson(1 / noise.gain.reshape(-1))


# by name, so that deepinv need not be there
_LIKELIHOODS: dict[str, Callable[[Any, Tensor], Likelihood]] = {
    "GaussianNoise": lambda noise, _: Gaussian(noise.sigma.reshape(-1)),
    "LaplaceNoise": lambda noise, _: Laplace(noise.b.reshape(-1)),
    "PoissonNoise": _poisson,
    "SaltPepperNoise": lambda noise, _: SaltAndPepper((noise.p + noise.s).reshape(-1)),
    "ZeroNoise": lambda _, y: Gaussian(estimate_noise_std(y).clamp(min=_LEAST_STD)),
}
