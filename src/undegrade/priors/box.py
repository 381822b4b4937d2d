"""Bounds on the values of an image."""

import math
from typing import final

import torch
from torch import Tensor

from undegrade.core.functional import Convex
from undegrade.core.image import PerSample, per_sample


@final
class Box(Convex):
    """The indicator of low ≤ x ≤ high: 0 inside, ∞ outside; its prox is the projection.

    Used as the `constraint` of an `Objective`. Either bound may be infinite.

    Arguments:
        low: least value a pixel may have.
        high: largest value.

    Raises:
        ValueError: low is not below high.
    """

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        super().__init__()
        if not low < high:
            raise ValueError(f"expected low < high, got {low} and {high}")
        self.low, self.high = low, high

    def forward(self, x: Tensor) -> PerSample:
        outside = ((x < self.low) | (x > self.high)).flatten(1).any(1)
        return torch.zeros_like(outside, dtype=x.dtype).masked_fill(outside, math.inf)

    def value_and_grad(self, x: Tensor) -> tuple[PerSample, Tensor]:
        return self(x), torch.zeros_like(x)

    def prox(self, v: Tensor, step: float | PerSample) -> Tensor:
        del step
        return v.clamp(self.low, self.high)

    def prox_conjugate(self, v: Tensor, step: float | PerSample) -> Tensor:
        """v − clamp(v, step·low, step·high): exactly 0 where a bound is infinite."""
        scale = per_sample(torch.as_tensor(step), v)
        return v - v.clamp(scale * self.low, scale * self.high)

    def conjugate(self, p: Tensor) -> PerSample:
        up = p.clamp(min=0) * self.high if math.isfinite(self.high) else _barred(p > 0, p)
        down = p.clamp(max=0) * self.low if math.isfinite(self.low) else _barred(p < 0, p)
        return (up + down).flatten(1).sum(1)


def _barred(where: Tensor, like: Tensor) -> Tensor:
    return torch.zeros_like(like).masked_fill(where, math.inf)


NONNEGATIVE = Box(0.0, math.inf)
"""No pixel below 0."""
