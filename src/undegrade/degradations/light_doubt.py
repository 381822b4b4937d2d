"""Whether a picture was blurred in light, as in a camera, and not in the values of its file."""

import math
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from undegrade.core.image import Image
from undegrade.core.measurement import Measurement
from undegrade.degradations.camera_words import read_response
from undegrade.degradations.degradation import Degradation
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.operators.blur import Blur

# What counts as better: docs/nonlinear.md. Where values were blurred it is 4 % at most.
MORE = math.log(1.06)
_CHANNELS = (1, 3)  # of pictures that a response was made for, and the restorer too
_SIDE = 160  # pixels a side of the piece that is restored both ways

Restore = Callable[[Measurement], Image]


def light_doubt(degradation: Degradation, y: Image, std: float, restore: Restore) -> str:
    """What to say where a blur that is said without a response fits better in light; else nothing.

    A piece in the middle is restored both ways. The residual is small either way, for a wrong
    model is made up for by ripples: so the total variation of the restored pieces tells. Nothing
    is said of masked or reduced pictures, of other ranges than [0, 1] or channels than 1 or 3, nor
    of tiny ones; nor of blurs in values for which a response is said, since dark noise in light
    looks the same.

    Arguments:
        degradation: with the blur that is said.
        y: the picture, a batch of one.
        std: of its noise.
        restore: a restorer that is good at both, such as that of `RecurrentInference`.
    """
    gain = gain_in_light(degradation, y, std, restore)
    if gain is None or gain < MORE:
        return ""
    return (
        "the picture looks blurred in light, as in a camera: --response srgb leaves "
        f"{1 - math.exp(-gain):.0%} less variation (of ripples) in a restored piece"
    )


def gain_in_light(degradation: Degradation, y: Image, std: float, restore: Restore) -> float | None:
    """Logarithm of the total variation of a piece restored as said over that of one in light."""
    d, blur = degradation, degradation.blur
    parts = d.first, d.downsample, d.response, d.mask, d.jpeg
    if blur is None or y.shape[1] not in _CHANNELS or any(part is not None for part in parts):
        return None
    piece = _middle(y, _SIDE)
    if piece is None or piece.min() < 0 or piece.max() > 1:
        return None
    in_values = replace(
        degradation,
        shape=(y.shape[1], *(_SIDE + n - 1 for n in blur.psf.shape[-2:])),
        blur=Blur(blur.psf, "valid"),
        likelihood=Gaussian(std),
    )
    in_light = replace(in_values, response=read_response("srgb"), scene="encoded")
    least, most = (_variation(restore(d.measurement(piece))) for d in (in_light, in_values))
    return math.log(most / least) if least > 0 < most else None


def _middle(x: Tensor, side: int) -> Tensor | None:
    """The square in the middle; None of a smaller picture."""
    top, left = ((n - side) // 2 for n in x.shape[-2:])
    return x[..., top : top + side, left : left + side] if min(top, left) >= 0 else None


def _variation(x: Image) -> float:
    """Isotropic total variation of the middle, where no border has a part."""
    inside = _middle(x, _SIDE)
    assert inside is not None
    down, right = inside.diff(dim=-2)[..., :-1], inside.diff(dim=-1)[..., :-1, :]
    return float((down.square() + right.square()).sum(1).sqrt().mean())
