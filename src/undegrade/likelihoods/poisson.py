"""Photon noise: little light, noise that grows with the signal."""

from typing import Any, final

import torch
from torch import Tensor

from undegrade.core.image import Number, PerSample, per_sample
from undegrade.core.likelihood import NoiseModel
from undegrade.likelihoods.noise import Noise

_PHOTONS = 0.1  # expected count below which −log p goes on as a parabola


@final
class Poisson(NoiseModel):
    """peak·y ~ Poisson(peak·prediction): −log p = peak Σ (u − y + y log(y/u)).

    White (1) is `peak` photons on average. −log p is infinite below zero and steep just above, so
    for predictions under a tenth of a photon its second-order Taylor expansion takes over: values
    and gradients stay finite everywhere, the function stays convex, and a negative prediction costs
    more the more negative it is.

    Good values: peak 1000 is a slightly noisy photograph, 30 a dark one, 3 hardly a picture.

    Arguments:
        peak: photons at white, one number or one per sample (b,).

    Raises:
        ValueError: a peak that is not positive.
    """

    peak: Tensor

    def __init__(self, peak: float | PerSample | Number) -> None:
        super().__init__()
        values = torch.as_tensor(peak)
        if not bool((values > 0).all()):
            raise ValueError(f"the peak must be a positive number of photons, got {peak}")
        self.register_buffer("peak", values)

    def extra_repr(self) -> str:
        return f"peak={self.peak.tolist()}"

    def sample(self, prediction: Tensor, generator: torch.Generator) -> Tensor:
        peak = per_sample(self.peak, prediction)
        rate = (peak * prediction).clamp(min=0).to(generator.device)
        return torch.poisson(rate, generator=generator).to(prediction) / peak

    def forward(self, prediction: Tensor, y: Tensor) -> PerSample:
        peak, low, y = self._constants(y)
        u, below = prediction.clamp(min=low), (prediction - low).clamp(max=0)
        exact = peak * (u - y) + torch.xlogy(peak * y, y) - torch.xlogy(peak * y, u)
        bend = self._curvature(y) * below
        return (exact + (peak * (1 - y / low) + 0.5 * bend) * below).flatten(1).sum(1)

    def value_and_grad(self, prediction: Tensor, y: Tensor) -> tuple[PerSample, Tensor]:
        value = self(prediction, y)
        peak, low, y = self._constants(y)
        u, below = prediction.clamp(min=low), (prediction - low).clamp(max=0)
        return value, peak * (1 - y / u) + self._curvature(y) * below

    def curvature(self, prediction: Tensor, y: Tensor) -> Tensor:
        """peak/u, Fisher's information; the parabola's own curvature where that takes over."""
        peak, low, y = self._constants(y)
        fisher = peak / prediction.clamp(min=low)
        return torch.where(prediction < low, self._curvature(y), fisher)

    def precision(self, y: Tensor) -> Tensor:
        """peak²/(n + 1) for n = peak·y photons.

        With n in place of n + 1 the quadratic model overrates dark entries; so it is right to 15 %
        in the mean from two photons on, and careful below.
        """
        peak = per_sample(self.peak, y)
        return peak.square() / (peak * y.clamp(min=0) + 1)

    def stronger(self, factor: float) -> "Poisson":
        """As if there had been 1/factor² of the photons."""
        return Poisson(self.peak / factor**2)

    def scaled(self, factor: PerSample) -> "Poisson":
        """A larger white is one of more photons."""
        return Poisson(self.peak / factor.to(self.peak))

    def prox(self, v: Tensor, y: Tensor, step: float | PerSample) -> Tensor:
        """The positive root of u² − (v − t peak) u = t peak y, or the parabola's minimum."""
        peak, low, y = self._constants(y)
        t = per_sample(step, v)
        q, product = v - t * peak, t * peak * y
        # the two forms of the root: each free of cancellation for its sign of q
        twice = (q.square() + 4 * product).sqrt() + q.abs()
        tiny = torch.finfo(v.dtype).tiny  # 0/0 where y and q are 0: the root is 0
        u = torch.where(q > 0, twice / 2, 2 * product / twice.clamp(min=tiny))
        del twice
        bend = t * self._curvature(y)
        below = (q + product / low + bend * low) / (1 + bend)
        return torch.where(u >= low, u, below)

    def conjugate(self, p: Tensor, y: Tensor) -> PerSample:
        """⟨p, u⟩ − f(u) at the u where f′(u) = p; infinite where p exceeds the peak."""
        peak, low, y = self._constants(y)
        eps = torch.finfo(p.dtype).eps
        u = peak * y / (peak - p).clamp(min=eps * peak)
        u = torch.where(u >= low, u, low + (p - peak * (1 - y / low)) / self._curvature(y))
        value = (p * u).flatten(1).sum(1) - self(u, y)
        feasible = (p <= peak * (1 + 16 * eps)).flatten(1).all(1)  # some roundings
        return torch.where(feasible, value, torch.inf)

    def _constants(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Peak, the prediction at which the parabola begins, and y made non-negative."""
        peak = per_sample(self.peak, y)
        return peak, _PHOTONS / peak, y.clamp(min=0)

    def _curvature(self, y: Tensor) -> Tensor:
        """Of the parabola: that of −log p where it begins, as for one photon at least."""
        peak = per_sample(self.peak, y)
        return (peak * y).clamp(min=1) * (peak / _PHOTONS).square()


def _peak(model: Any) -> tuple[Tensor]:
    if not bool(model.normalize):
        raise ValueError("Poisson noise must be normalized to the range of the image")
    return (1 / model.gain,)


NOISE = Noise(
    name="poisson",
    kind=Poisson,
    levels=("peak",),
    unit="PEAK",
    physics="PoissonNoise",
    from_physics=_peak,
)
