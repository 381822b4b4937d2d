"""What a file of a few bits does to a measurement."""

from torch import Tensor


def rounded(y: Tensor, bits: int = 8) -> Tensor:
    """What a file of this many bits holds: clipped to [0, 1], a multiple of 1/(2ᵇⁱᵗˢ − 1)."""
    levels = 2**bits - 1
    return (y.clamp(0, 1) * levels).round() / levels


def rounding_std(bits: int = 8) -> float:
    """Standard deviation of the error of `rounded`, uniform over one level: no file is cleaner."""
    return 1 / ((2**bits - 1) * 12**0.5)
