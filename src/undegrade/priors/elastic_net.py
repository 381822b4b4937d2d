"""Sparsity with a strongly convex part."""

from typing import final

import torch
from torch import Tensor

from undegrade.core.functional import Convex
from undegrade.core.image import PerSample, dot, per_sample
from undegrade.priors.lp_norm import shrink


@final
class ElasticNet(Convex):
    """‖x‖₁ + ρ/2·‖x‖²: sparse x, and a minimizer that is unique and Lipschitz in the data.

    The prior of the one-dimensional analytic deep prior: strong convexity makes the minimizer
    differentiable wherever its support does not change. With a weight λ, α₁ = λ and α₂ = λρ.

    References:
        Zou and Hastie, Regularization and variable selection via the elastic net (2005), eq. (3).

    Arguments:
        ridge: ρ > 0; `LpNorm(1)` is the case ρ = 0.

    Raises:
        ValueError: ρ is not positive.
    """

    def __init__(self, ridge: float) -> None:
        super().__init__()
        if not ridge > 0:
            raise ValueError(f"the ridge of an elastic net is positive, got {ridge}")
        self.ridge = ridge

    def extra_repr(self) -> str:
        return f"ridge={self.ridge}"

    def modulus(self, x: Tensor) -> PerSample:
        return x.new_full((len(x),), self.ridge)

    def forward(self, x: Tensor) -> PerSample:
        return x.abs().flatten(1).sum(1) + 0.5 * self.ridge * dot(x, x)

    def value_and_grad(self, x: Tensor) -> tuple[PerSample, Tensor]:
        return self(x), torch.add(x.sign(), x, alpha=self.ridge)

    def prox(self, v: Tensor, step: float | PerSample) -> Tensor:
        scale = per_sample(step, v)
        return shrink(v, scale) / (1 + self.ridge * scale)

    def conjugate(self, p: Tensor) -> PerSample:
        beyond = shrink(p, 1.0)
        return dot(beyond, beyond) / (2 * self.ridge)
