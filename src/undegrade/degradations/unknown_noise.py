"""Noise of which nothing is known but that it is there."""

import torch
from torch import Tensor

from undegrade.core.operator import Operator
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.noise_level import estimate_noise_std
from undegrade.likelihoods.rounding import rounding_std, rounding_std_of


def unknown_noise(y: Tensor, operator: Operator, bits: int | None = None) -> Gaussian:
    """White Gaussian noise, its level estimated from the entries of y that see anything of x.

    It is at least that of the step in which the values of y come.

    Arguments:
        y: what was measured.
        operator: φ.
        bits: of the rounding, where that is known.

    Raises:
        ValueError: too few entries are seen.
    """
    lost = operator.lost(y)
    std = estimate_noise_std(y, None if lost is None else ~lost)
    if bits is not None:
        return Gaussian(std.clamp(min=rounding_std(bits)))
    return Gaussian(
        torch.maximum(std, rounding_std_of(y if lost is None else torch.where(lost, 0.0, y)))
    )
