"""Noise of which nothing is known but that it is there."""

import torch
from torch import Tensor

from undegrade.core.operator import Operator
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.noise_level import estimate_noise_std

_LEAST_STD = 1 / (255 * 12**0.5)  # rounding to 8 bits: no file is cleaner


def unknown_noise(y: Tensor, operator: Operator) -> Gaussian:
    """White Gaussian noise, its level estimated from the entries of y that see anything of x.

    Raises:
        ValueError: too few entries are seen.
    """
    seen = _seen(y, operator)
    std = estimate_noise_std(y, None if bool(seen.all()) else seen)
    return Gaussian(std.clamp(min=_LEAST_STD))


def _seen(y: Tensor, operator: Operator) -> Tensor:
    """Where φ(x) depends on x at all: not at lost pixels."""
    x = operator.initial(y)
    generator = torch.Generator().manual_seed(0)
    shift = torch.rand(x.shape[1:], generator=generator).to(x)  # no kernel maps this to 0
    return operator(x) != operator(x + shift)
