"""Our restorers where DeepInverse expects a reconstruction model."""

from typing import Any, final

import torch
from torch import Tensor, nn

from undegrade.core.image import Image, select
from undegrade.core.likelihood import Likelihood
from undegrade.core.measurement import Measurement, Restorer
from undegrade.core.stopping import Status
from undegrade.likelihoods import noises
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.noise_level import estimate_noise_std
from undegrade.likelihoods.rounding import rounding_std
from undegrade.operators.physics import from_physics


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


def _likelihood(model: Any, y: Tensor) -> Likelihood:
    kind = type(model).__name__  # by name, so that deepinv need not be there
    if kind == "ZeroNoise":
        return Gaussian(estimate_noise_std(y).clamp(min=rounding_std()))
    known = {noise.physics: noise for noise in noises().values() if noise.physics}
    if kind not in known:
        raise ValueError(
            f"the noise model must be one of {', '.join(known)} or ZeroNoise, got "
            f"{kind}: give the likelihood instead"
        )
    noise = known[kind]
    return noise(*(level.reshape(-1) for level in noise.from_physics(model)))
