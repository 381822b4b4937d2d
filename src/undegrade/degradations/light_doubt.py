"""Whether a picture was blurred in light, as in a camera, or in the values of its file."""

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

# What counts as better: docs/nonlinear.md. A blur that was said as it was leaves at most 1 % more.
MORE = math.log(1.06)
_SIDE = 160  # pixels a side of the piece that is restored both ways

Restore = Callable[[Measurement], Image]


def light_doubt(degradation: Degradation, y: Image, std: float, restore: Restore) -> str:
    """What to say where a blur fits a picture clearly better in light, or in values; else nothing.

    A piece in the middle is restored both ways. The residual is small either way, for a wrong
    model is made up for by ripples: so the total variation of the restored pieces tells. Nothing
    is said of masked or reduced pictures, of other curves than those of files, nor of tiny ones.

    Arguments:
        degradation: with the blur that is said.
        y: the picture, a batch of one in [0, 1].
        std: of its noise.
        restore: a restorer that is good at both, such as that of `RecurrentInference`.
    """
    gain = gain_of_the_other(degradation, y, std, restore)
    if gain is None or gain < MORE:
        return ""
    less = f"leaves {1 - math.exp(-gain):.0%} less variation (of ripples) in a restored piece"
    if degradation.response is None:
        return f"the picture looks blurred in light, as in a camera: --response srgb {less}"
    return (
        f"the picture looks blurred in the values of its file, not in light: no --response {less}"
    )


def gain_of_the_other(
    degradation: Degradation, y: Image, std: float, restore: Restore
) -> float | None:
    """Logarithm of the total variation of a piece restored as said over that of the other way."""
    blur, response = degradation.blur, degradation.response
    parts = degradation.first, degradation.downsample, degradation.mask, degradation.jpeg
    if blur is None or any(part is not None for part in parts):
        return None
    if response is not None and degradation.scene == "linear":
        return None
    piece = _middle(y, _SIDE)
    if piece is None or piece.min() < 0 or piece.max() > 1:
        return None
    said = replace(
        degradation,
        shape=(y.shape[1], *(_SIDE + n - 1 for n in blur.psf.shape[-2:])),
        blur=Blur(blur.psf, "valid"),
        likelihood=Gaussian(std),
    )
    other = replace(
        said, response=read_response("srgb") if response is None else None, scene="encoded"
    )
    least, most = (_variation(restore(way.measurement(piece))) for way in (other, said))
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
