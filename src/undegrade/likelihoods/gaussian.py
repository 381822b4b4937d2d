"""White noise of a known level: sensors in good light."""

from typing import final

import torch
from torch import Tensor

from undegrade.core.image import Number, PerSample, per_sample
from undegrade.core.likelihood import QuadraticNoise
from undegrade.likelihoods.noise import Noise, standard_normal


@final
class Gaussian(QuadraticNoise):
    """y = prediction + std·n, n standard normal: −log p = ½‖prediction − y‖²/std².

    Arguments:
        std: standard deviation in units of the [0, 1] range, one number, one per sample (b,), or
            one per entry of y, infinite where that is lost. 8-bit levels divide by 255: σ = 25 is
            0.098.

    Raises:
        ValueError: a standard deviation that is not positive.
    """

    std: Tensor

    def __init__(self, std: float | Tensor | Number) -> None:
        super().__init__()
        values = torch.as_tensor(std)
        if not bool((values > 0).all()):
            raise ValueError(f"the standard deviation must be positive, got {std}")
        self.register_buffer("std", values)

    def extra_repr(self) -> str:
        return f"std={self.std.tolist() if self.std.ndim < 2 else tuple(self.std.shape)}"

    def sample(self, prediction: Tensor, generator: torch.Generator) -> Tensor:
        return prediction + self._std(prediction) * standard_normal(prediction, generator)

    def precision(self, y: Tensor) -> Tensor:
        return self._std(y).square().reciprocal().expand_as(y)

    def stronger(self, factor: float) -> "Gaussian":
        return Gaussian(factor * self.std)

    def scaled(self, factor: PerSample) -> "Gaussian":
        if self.std.ndim > 1:
            return Gaussian(per_sample(factor, self.std) * self.std)
        return Gaussian(self.std * factor.to(self.std))

    @property
    def additive(self) -> bool:
        return True

    def _std(self, like: Tensor) -> Tensor:
        if self.std.ndim > 1:
            return self.std.to(like)
        if self.std.numel() not in (1, len(like)):
            levels = ", ".join(f"{level:g}" for level in self.std.tolist())
            raise ValueError(
                f"expected one standard deviation, or one per sample of {len(like)}, or a map of "
                f"the shape of the measurement, got [{levels}]"
            )
        return per_sample(self.std, like)


NOISE = Noise(
    name="gaussian",
    kind=Gaussian,
    levels=("std",),
    unit="STD",
    physics="GaussianNoise",
    from_physics=lambda model: (model.sigma,),
    per_entry=True,
)
