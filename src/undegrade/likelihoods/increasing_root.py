"""Many equations of one unknown at once."""

from collections.abc import Callable

import torch
from torch import Tensor

_ITERATIONS = 60  # by halving alone: from any bracket to the last bit of a double


def increasing_root(
    value_and_slope: Callable[[Tensor], tuple[Tensor, Tensor]], low: Tensor, high: Tensor
) -> Tensor:
    """u with f(u) = 0 in every entry, f increasing, by Newton's method kept in a bracket.

    Arguments:
        value_and_slope: u ↦ f(u), f′(u), entry by entry.
        low: finite, f(low) ≤ 0.
        high: finite, f(high) ≥ 0.
    """
    u = (low + high) / 2
    for _ in range(_ITERATIONS):
        value, slope = value_and_slope(u)
        low, high = torch.where(value <= 0, u, low), torch.where(value >= 0, u, high)
        step = u - value / slope
        inside = (step > low) & (step < high)  # false where the slope is 0
        after = torch.where(inside, step, (low + high) / 2)
        if bool((after == u).all()):
            break
        u = after
    return u
