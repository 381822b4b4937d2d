"""Noise of which nothing is known but that it is there."""

import torch
from torch import Tensor

from undegrade.core.likelihood import NoiseModel
from undegrade.core.operator import Operator
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.impulses import at_random
from undegrade.likelihoods.noise_level import estimate_noise_std
from undegrade.likelihoods.rounding import rounding_std, rounding_std_of
from undegrade.likelihoods.salt_and_pepper import SaltAndPepper

_APART = 2.0  # levels of channels that differ by more have not come from one picture's texture


def unknown_noise(y: Tensor, operator: Operator, bits: int | None = None) -> NoiseModel:
    """White Gaussian noise, its level estimated from the entries of y that see anything of x.

    It is at least that of the step in which the values of y come. Where channels have levels that
    lie far apart, each has its own, (b c 1 1). Salt and pepper where black and white stand about
    without regard to each other (`at_random`), and no entry is known to be lost.

    Arguments:
        y: what was measured.
        operator: φ.
        bits: of the rounding, where that is known.

    Raises:
        ValueError: too few entries are seen.
    """
    lost = operator.lost(y)
    seen = None if lost is None else (~lost).expand_as(y)
    if bits is not None:
        least = y.new_tensor(rounding_std(bits))
    else:
        least = rounding_std_of(y if lost is None else torch.where(lost, 0.0, y))
    fraction = at_random(y) if lost is None else y.new_zeros(len(y))
    if bool((fraction > 0).all()):
        return SaltAndPepper(fraction, least)
    std = torch.maximum(estimate_noise_std(y, seen), least)
    if y.shape[1] == 1:
        return Gaussian(std)
    try:
        levels = [_of_channel(y, seen, channel) for channel in range(y.shape[1])]
    except ValueError:  # one channel alone has too few entries that are seen
        return Gaussian(std)
    each = torch.stack(levels, 1).maximum(least.reshape(-1, 1))
    apart = each.amax(1) > _APART * each.amin(1)
    if not bool(apart.any()):
        return Gaussian(std)
    return Gaussian(torch.where(apart[:, None], each, std[:, None])[..., None, None])


def _of_channel(y: Tensor, seen: Tensor | None, channel: int) -> Tensor:
    """The level of one channel, per sample."""
    one = slice(channel, channel + 1)
    return estimate_noise_std(y[:, one], None if seen is None else seen[:, one])
