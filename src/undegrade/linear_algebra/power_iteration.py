"""Norms of linear maps."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from undegrade.core.image import Image, PerSample, norm, per_sample, ratio

_GOLDEN_ANGLE = math.pi * (3 - 5**0.5)


def squared_norm(
    normal: Callable[[Image], Image], shape: tuple[int, ...], like: Tensor, iterations: int = 30
) -> PerSample:
    """‖A‖² of every sample: the largest eigenvalue of `normal` = AᵀA, by power iteration.

    The estimate comes from below; callers that need a bound multiply it by 1.05. The start is
    fixed (a smooth ramp plus a checkerboard, never orthogonal to a blur's or a difference's
    leading mode), so that the same operator always gives the same number.
    """
    n = torch.arange(math.prod(shape[1:]), dtype=like.dtype, device=like.device)
    # the golden angle, so that no row or column repeats; half and quarter keep the ramp on top
    start = 1 + 0.5 * torch.cos(_GOLDEN_ANGLE * n) + 0.25 * torch.cos(torch.pi * n)
    x = start.reshape(1, *shape[1:]).expand(*shape)
    value = like.new_zeros(shape[0])
    for _ in range(iterations):
        x = normal(ratio(x, per_sample(norm(x), x)))
        value = norm(x)
    return value
