"""Brightness of a color picture, by ITU-R BT.601."""

from jaxtyping import Float
from torch import Tensor

from undegrade.core.image import Image

_SHARES = (0.299, 0.587, 0.114)  # of red, green and blue


def gray(x: Image) -> Float[Tensor, "b 1 h w"]:
    """The luma Y′ in [0, 1]; a gray image is its own."""
    if x.shape[1] == 1:
        return x
    return (x * x.new_tensor(_SHARES).reshape(1, 3, 1, 1)).sum(1, keepdim=True)


def luma(x: Image) -> Float[Tensor, "b 1 h w"]:
    """The Y channel in [16/255, 235/255], as the super-resolution tables use it.

    A gray image is its own.
    """
    return x if x.shape[1] == 1 else (16 + 219 * gray(x)) / 255  # BT.601: black is 16, white 235
