"""Photon noise and the noise of reading it out: what a camera's sensor adds."""

from typing import final

import torch
from torch import Tensor

from undegrade.core.image import Number, PerSample, per_sample
from undegrade.core.likelihood import NoiseModel
from undegrade.likelihoods.noise import Noise, standard_normal
from undegrade.likelihoods.poisson import Poisson


@final
class Sensor(NoiseModel):
    """y = gain·k + std·n with k ~ Poisson(prediction/gain) and n standard normal.

    Its −log p is that of the shifted count: y + std²/gain is taken for Poisson noise about
    prediction + std²/gain, which has the right mean and variance gain·prediction + std² everywhere
    and is convex; the exact one is an infinite sum. Sampling is exact.

    References:
        Snyder, Hammoud and White, Image recovery from data acquired with a charge-coupled-device
        camera (1993), section 3.

    Good values:
        gain 0.01 (a hundred photons at white) and std 0.01 are a night photograph.

    Arguments:
        gain: what one photon measures, in units of the [0, 1] range; one number or one per sample.
        std: standard deviation of the read-out, in the same units; one number or one per sample.

    Raises:
        ValueError: a gain or deviation that is not positive.
    """

    gain: Tensor
    std: Tensor

    def __init__(self, gain: float | PerSample | Number, std: float | PerSample | Number) -> None:
        super().__init__()
        gains, stds = torch.as_tensor(gain), torch.as_tensor(std)
        if not (bool((gains > 0).all()) and bool((stds > 0).all())):
            raise ValueError(f"gain and deviation must be positive, got {gain} and {std}")
        self.register_buffer("gain", gains)
        self.register_buffer("std", stds)

    def extra_repr(self) -> str:
        return f"gain={self.gain.tolist()}, std={self.std.tolist()}"

    def sample(self, prediction: Tensor, generator: torch.Generator) -> Tensor:
        read_out = per_sample(self.std, prediction) * standard_normal(prediction, generator)
        return self._count.sample(prediction, generator) + read_out

    def forward(self, prediction: Tensor, y: Tensor) -> PerSample:
        shift = self._shift(y)
        return self._count(prediction + shift, y + shift)

    def value_and_grad(self, prediction: Tensor, y: Tensor) -> tuple[PerSample, Tensor]:
        shift = self._shift(y)
        return self._count.value_and_grad(prediction + shift, y + shift)

    def curvature(self, prediction: Tensor, y: Tensor) -> Tensor:
        """1/(gain·prediction + std²), Fisher's information."""
        shift = self._shift(y)
        return self._count.curvature(prediction + shift, y + shift)

    def precision(self, y: Tensor) -> Tensor:
        """1/(gain·(y + gain) + std²): with one photon more, as for `Poisson`."""
        gain, std = per_sample(self.gain, y), per_sample(self.std, y)
        return 1 / (gain * (y.clamp(min=0) + gain) + std.square())

    def stronger(self, factor: float) -> "Sensor":
        """The gain grows by factor², the deviation by the factor."""
        return Sensor(factor**2 * self.gain, factor * self.std)

    def prox(self, v: Tensor, y: Tensor, step: float | PerSample) -> Tensor:
        shift = self._shift(y)
        return self._count.prox(v + shift, y + shift, step) - shift

    def conjugate(self, p: Tensor, y: Tensor) -> PerSample:
        shift = self._shift(y)
        return self._count.conjugate(p, y + shift) - (p * shift).flatten(1).sum(1)

    @property
    def _count(self) -> Poisson:
        return Poisson(1 / self.gain)

    def _shift(self, like: Tensor) -> Tensor:
        return per_sample(self.std.square() / self.gain, like).to(like)


NOISE = Noise(
    name="sensor",
    kind=Sensor,
    levels=("gain", "std"),
    unit="GAIN:STD",
    physics="PoissonGaussianNoise",
    from_physics=lambda model: (model.gain, model.sigma),
)
