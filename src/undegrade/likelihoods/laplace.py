"""Noise with outliers: heavier tails than a Gaussian's."""

from typing import final

import torch
from torch import Tensor

from undegrade.core.image import Number, PerSample, dot, per_sample
from undegrade.core.likelihood import NoiseModel
from undegrade.likelihoods.noise import Noise

_FLAT = 1e-2  # in scales: closer to the kink the parabola, which would be a wall, stays as it is


@final
class Laplace(NoiseModel):
    """y = prediction + Laplace noise: −log p = ‖prediction − y‖₁/scale.

    The median is its estimate where the mean is a Gaussian's, so a minority of wild entries does
    little harm. It is not differentiable where the fit is exact: smooth solvers slow down there.

    Arguments:
        scale: mean absolute deviation in units of the [0, 1] range, one number or one per sample
            (b,). The standard deviation is √2·scale.

    Raises:
        ValueError: a scale that is not positive.
    """

    scale: Tensor

    def __init__(self, scale: float | PerSample | Number) -> None:
        super().__init__()
        values = torch.as_tensor(scale)
        if not bool((values > 0).all()):
            raise ValueError(f"the scale must be positive, got {scale}")
        self.register_buffer("scale", values)

    @property
    def smooth(self) -> bool:
        return False

    def extra_repr(self) -> str:
        return f"scale={self.scale.tolist()}"

    def sample(self, prediction: Tensor, generator: torch.Generator) -> Tensor:
        """The difference of two exponential variables has a Laplace distribution."""
        draws = torch.empty(
            (2, *prediction.shape), dtype=prediction.dtype, device=generator.device
        ).exponential_(generator=generator)
        noise = (draws[0] - draws[1]).to(prediction)
        return prediction + per_sample(self.scale, prediction) * noise

    def forward(self, prediction: Tensor, y: Tensor) -> PerSample:
        return (prediction - y).abs().flatten(1).sum(1) / self.scale.to(y)

    def value_and_grad(self, prediction: Tensor, y: Tensor) -> tuple[PerSample, Tensor]:
        slope = (prediction - y).sign() / per_sample(self.scale, y)
        return self(prediction, y), slope

    def curvature(self, prediction: Tensor, y: Tensor) -> Tensor:
        """1/(scale·|u − y|): the parabola that touches |u − y|/scale on both sides of the kink."""
        scale = per_sample(self.scale, y)
        return 1 / (scale * torch.maximum((prediction - y).abs(), _FLAT * scale))

    def precision(self, y: Tensor) -> Tensor:
        return (0.5 / per_sample(self.scale, y).square()).expand_as(y)

    def stronger(self, factor: float) -> "Laplace":
        return Laplace(factor * self.scale)

    def scaled(self, factor: PerSample) -> "Laplace":
        return Laplace(self.scale * factor.to(self.scale))

    @property
    def additive(self) -> bool:
        return True

    def prox(self, v: Tensor, y: Tensor, step: float | PerSample) -> Tensor:
        """Move from v toward y by at most step/scale."""
        reach = per_sample(step, v) / per_sample(self.scale, v)
        return v + torch.minimum(torch.maximum(y - v, -reach), reach)

    def conjugate(self, p: Tensor, y: Tensor) -> PerSample:
        """⟨p, y⟩ where |p| ≤ 1/scale, up to rounding; infinite elsewhere."""
        # Moreau's identity leaves the rounding of numbers that are large against 1/scale
        bound = 1 + torch.finfo(p.dtype).eps ** 0.5
        feasible = (p * per_sample(self.scale, p)).abs().flatten(1).amax(1) <= bound
        return torch.where(feasible, dot(p, y), torch.inf)


NOISE = Noise(
    name="laplace",
    kind=Laplace,
    levels=("scale",),
    unit="SCALE",
    physics="LaplaceNoise",
    from_physics=lambda model: (model.b,),
)
