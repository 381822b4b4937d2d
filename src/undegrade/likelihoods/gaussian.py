"""White noise of a known level: sensors in good light."""

from typing import final

import torch
from torch import Tensor

from undegrade.core.image import PerSample, dot, per_sample
from undegrade.core.likelihood import Likelihood
from undegrade.likelihoods.noise import Noise


@final
class Gaussian(Likelihood):
    """y = prediction + std·n, n standard normal: −log p = ½‖prediction − y‖²/std².

    Arguments:
        std: standard deviation in units of the [0, 1] range, one number or one per sample (b,).
            8-bit levels divide by 255: σ = 25 is 0.098.

    Raises:
        ValueError: a standard deviation that is not positive.
    """

    std: Tensor

    def __init__(self, std: float | PerSample) -> None:
        super().__init__()
        values = torch.as_tensor(std)
        if not bool((values > 0).all()):
            raise ValueError(f"the standard deviation must be positive, got {std}")
        self.register_buffer("std", values)

    def extra_repr(self) -> str:
        return f"std={self.std.tolist()}"

    def sample(self, prediction: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(
            prediction.shape,
            generator=generator,
            device=generator.device,
            dtype=prediction.dtype,
        )
        return prediction + per_sample(self.std, prediction) * noise.to(prediction)

    def forward(self, prediction: Tensor, y: Tensor) -> PerSample:
        difference = prediction - y
        return 0.5 * dot(difference, difference) / self.std.to(difference).square()

    def value_and_grad(self, prediction: Tensor, y: Tensor) -> tuple[PerSample, Tensor]:
        difference = prediction - y
        del prediction  # room for what comes
        variance = self.std.to(difference).square()
        value = 0.5 * dot(difference, difference) / variance
        return value, difference / per_sample(variance, difference)

    def curvature(self, prediction: Tensor, y: Tensor) -> Tensor:
        """1/std², exactly."""
        del prediction
        return self.precision(y)

    def precision(self, y: Tensor) -> Tensor:
        return per_sample(self.std, y).square().reciprocal().expand_as(y)

    def prox(self, v: Tensor, y: Tensor, step: float | PerSample) -> Tensor:
        """(v + t y)/(1 + t), t = step/std²."""
        t = per_sample(step, v) / per_sample(self.std, v).square()
        return (v + t * y) / (1 + t)

    def conjugate(self, p: Tensor, y: Tensor) -> PerSample:
        """⟨p, y⟩ + ½ std² ‖p‖²."""
        return dot(p, y + 0.5 * per_sample(self.std, p).square() * p)


NOISE = Noise(
    name="gaussian",
    kind=Gaussian,
    levels=("std",),
    unit="STD",
    physics="GaussianNoise",
    from_physics=lambda model: (model.sigma,),
)
