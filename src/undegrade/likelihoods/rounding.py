"""What a file of a few bits does to a measurement."""

import torch
from torch import Tensor

from undegrade.core.image import PerSample

_LOOKED_AT = 1 << 16  # entries: enough for neighbors at every level that a file of 16 bits has
_FINEST = 1e-3  # of a measurement's spread: nobody knows an operator better than that
_SPREAD = (0.01, 0.99)  # quantiles that no stray entry moves


def rounded(y: Tensor, bits: int = 8) -> Tensor:
    """What a file of this many bits holds: clipped to [0, 1], a multiple of 1/(2ᵇⁱᵗˢ − 1)."""
    levels = 2**bits - 1
    return (y.clamp(0, 1) * levels).round() / levels


def rounding_std(bits: int = 8) -> float:
    """Standard deviation of the error of `rounded`, uniform over one level: no file is cleaner."""
    return 1 / ((2**bits - 1) * 12**0.5)


def rounding_std_of(y: Tensor) -> PerSample:
    """That of the step in which the values of y come, whatever its file had for bits.

    At least a thousandth of the spread of y, so that continuous values have one too; of a constant
    y, what 8 bits have.
    """
    return torch.stack([_of_one(entries) for entries in y.flatten(1)])


def _of_one(entries: Tensor) -> Tensor:
    stride = max(1, len(entries) // _LOOKED_AT) | 1  # odd: not always the same columns
    values = entries[::stride].unique()
    if len(values) < 2:
        return torch.full_like(entries[0], rounding_std())
    low, high = (
        values.aminmax() if len(values) < 100 else values.quantile(values.new_tensor(_SPREAD))
    )
    return torch.maximum(values.diff().min() / 12**0.5, _FINEST * (high - low))
