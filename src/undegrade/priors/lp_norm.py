"""Norms of all pixels of an image, and their powers."""

from typing import Literal, final

import torch
from torch import Tensor

from undegrade.core.functional import Convex, Functional
from undegrade.core.image import PerSample, dot, norm, per_sample, ratio


@final
class LpNorm(Convex):
    """‖x‖ₚ^γ over all values of a sample, for p and γ of 1 or 2, with exact prox and conjugate.

    p = γ = 1 is the prior of sparse images (soft thresholding), p = γ = 2 of small ones. Where the
    norm has a kink its gradient is the subgradient of least length.

    References:
        Parikh and Boyd, Proximal algorithms (2014), section 6.5. Beck, First-order methods in
        optimization (2017), section 6.8, for p = 1, γ = 2.

    Arguments:
        p: 1 sums absolute values, 2 is the Euclidean length.
        exponent: γ, the power of the norm.

    Raises:
        ValueError: another p or exponent; `SmoothedLpNorm` takes them.
    """

    def __init__(self, p: Literal[1, 2] = 1, exponent: Literal[1, 2] = 1) -> None:
        super().__init__()
        if p not in (1, 2) or exponent not in (1, 2):
            raise ValueError(f"expected p and exponent of 1 or 2, got {p} and {exponent}")
        self.p: Literal[1, 2] = p
        self.exponent: Literal[1, 2] = exponent

    def extra_repr(self) -> str:
        return f"p={self.p}, exponent={self.exponent}"

    def modulus(self, x: Tensor) -> PerSample:
        return x.new_full((len(x),), 2.0 if self.p == self.exponent == 2 else 0.0)

    def forward(self, x: Tensor) -> PerSample:
        if self.p == 1:
            return x.abs().flatten(1).sum(1) ** self.exponent
        return dot(x, x) if self.exponent == 2 else torch.linalg.vector_norm(x.flatten(1), dim=1)

    def value_and_grad(self, x: Tensor) -> tuple[PerSample, Tensor]:
        value = self(x)
        match self.p, self.exponent:
            case 1, 1:
                return value, x.sign()
            case 1, 2:
                return value, per_sample(2 * x.abs().flatten(1).sum(1), x) * x.sign()
            case 2, 1:
                return value, ratio(x, per_sample(value, x))
            case _:
                return value, 2 * x

    def prox(self, v: Tensor, step: float | PerSample) -> Tensor:
        match self.p, self.exponent:
            case 1, 1:
                return shrink(v, per_sample(step, v))
            case 1, 2:
                return shrink(v, per_sample(_threshold(v, step), v))
            case 2, 1:
                length = norm(v).clamp(min=torch.finfo(v.dtype).tiny)
                return per_sample((1 - step / length).clamp(min=0), v) * v
            case _:
                return v / (1 + 2 * per_sample(step, v))

    def conjugate(self, p: Tensor) -> PerSample:
        dual = p.abs().flatten(1).amax(1) if self.p == 1 else norm(p)
        if self.exponent == 2:
            return dual.square() / 4
        slack = 1 + 8 * torch.finfo(p.dtype).eps  # some roundings of a norm that is 1 exactly
        return torch.zeros_like(dual).masked_fill(dual > slack, torch.inf)


def shrink(v: Tensor, threshold: float | Tensor) -> Tensor:
    """Soft thresholding: every value moved toward 0 by `threshold`, and no further than 0."""
    return v.sign() * (v.abs() - threshold).clamp(min=0)


def _threshold(v: Tensor, step: float | PerSample) -> PerSample:
    """τ = 2·step·‖shrink(v, τ)‖₁, from the sorted values in closed form."""
    largest = v.abs().flatten(1).sort(dim=1, descending=True).values
    count = torch.arange(1, largest.shape[1] + 1, dtype=v.dtype, device=v.device)
    double = 2 * per_sample(step, largest)
    return (double * largest.cumsum(1) / (1 + double * count)).amax(1)


@final
class SmoothedLpNorm(Functional):
    """(Σ (x² + ε)^{p/2})^{γ/p}: ‖x‖ₚ^γ without the kinks, for any p ≥ 1 and γ > 0.

    For methods that need a gradient, and for the norms without a known prox.

    Good values: ε of 1e-6 to 1e-4 (squared units of the [0, 1] range) for p = 1.

    Arguments:
        p: power of the values.
        exponent: γ, the power of the norm.
        epsilon: ε > 0.

    Raises:
        ValueError: p below 1, or γ or ε not positive.
    """

    def __init__(self, p: float = 1.0, exponent: float = 1.0, epsilon: float = 1e-6) -> None:
        super().__init__()
        if not (p >= 1 and exponent > 0 and epsilon > 0):
            raise ValueError(
                f"expected p ≥ 1, exponent > 0, epsilon > 0, got {p}, {exponent}, {epsilon}"
            )
        self.p, self.exponent, self.epsilon = p, exponent, epsilon

    def extra_repr(self) -> str:
        return f"p={self.p}, exponent={self.exponent}, epsilon={self.epsilon}"

    def forward(self, x: Tensor) -> PerSample:
        powers = (x.square() + self.epsilon) ** (self.p / 2)
        return powers.flatten(1).sum(1) ** (self.exponent / self.p)

    def value_and_grad(self, x: Tensor) -> tuple[PerSample, Tensor]:
        squared = x.square() + self.epsilon
        total = (squared ** (self.p / 2)).flatten(1).sum(1)
        ratio = self.exponent / self.p
        outer = per_sample(self.exponent * total ** (ratio - 1), x)
        return total**ratio, outer * squared ** (self.p / 2 - 1) * x
