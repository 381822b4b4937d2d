"""Pixels that were not seen: inpainting."""

from typing import final

import torch
from torch import Tensor

from undegrade.core.gram import Gram
from undegrade.core.image import Image, ratio, require_tensor
from undegrade.core.operator import LinearOperator
from undegrade.operators.diagonal import Diagonal

_WINDOW = (0.125, 0.375, 0.375, 0.125)  # binomial, close to a Gaussian
_SATURATION = 8.0  # an eighth of a window seen is enough to believe its mean


@final
class Mask(LinearOperator):
    """x ↦ observed·x, entry by entry: what was not observed measures as 0.

    Arguments:
        observed: 1 where a pixel was seen, 0 where it was lost; shape (h w), (c|1 h w) or
            (b|1 c|1 h w); boolean or float. Entries in between weaken a pixel.

    Raises:
        ValueError: another number of dimensions; an image of another size or number of channels.
    """

    observed: Tensor

    def __init__(self, observed: Tensor) -> None:
        super().__init__()
        require_tensor(observed, "Mask")
        if observed.ndim not in (2, 3, 4):
            raise ValueError(
                f"a mask has shape (h w), (c h w) or (b c h w), got {tuple(observed.shape)}"
            )
        full = observed[(None,) * (4 - observed.ndim)]
        real = full if full.is_floating_point() else full.to(torch.get_default_dtype())
        self.register_buffer("observed", real)

    def extra_repr(self) -> str:
        return f"observed={tuple(self.observed.shape)}"

    def forward(self, x: Image) -> Tensor:
        self._check(x)
        return x * self.observed.to(x)

    def adjoint(self, y: Tensor) -> Image:
        return self(y)

    def initial(self, y: Tensor) -> Image:
        """Lost pixels become a weighted mean of the seen ones nearby.

        The windows grow by octaves: each hole takes its value from the smallest one that saw
        something (normalized averaging over a pyramid). An image without any seen pixel stays 0.
        """
        weight = self.observed.to(y).expand_as(y)
        seen = (weight != 0).to(y)
        return _filled(ratio(y, weight), seen)

    def lost(self, y: Tensor) -> Tensor | None:
        self._check(y)
        lost = self.observed.to(y.device) == 0
        return lost if bool(lost.any()) else None

    def _check(self, x: Image) -> None:
        channels, height, width = self.observed.shape[1:]
        if x.shape[-2:] != (height, width):
            raise ValueError(
                f"the mask is for {height}×{width} pixels, "
                f"the image has {x.shape[-2]}×{x.shape[-1]}"
            )
        if channels not in (1, x.shape[-3]):
            raise ValueError(f"the mask is for {channels} channels, the image has {x.shape[-3]}")

    @property
    def gram(self) -> Gram:
        return Diagonal(lambda x: self.observed.to(x).square())


def _filled(values: Tensor, weight: Tensor) -> Tensor:
    """Values where the weight is 1, completed from a grid of half the size where it is less.

    Gortler, Grzeszczuk, Szeliski and Cohen, The Lumigraph (1996), pull and push.
    """
    h, w = values.shape[-2:]
    if max(h, w) == 1:
        return weight * values
    total = _halved(weight)
    mean = ratio(_halved(weight * values), total)
    coarse = _filled(mean, (_SATURATION * total).clamp(max=1))
    grow = (2.0 if h > 1 else 1.0, 2.0 if w > 1 else 1.0)
    wide = torch.nn.functional.interpolate(
        coarse, scale_factor=grow, mode="bilinear", align_corners=False
    )
    return weight * values + (1 - weight) * wide[..., :h, :w]


def _halved(x: Tensor) -> Tensor:
    """Smoothed, one value for every two pixels, along each axis that is longer than 1."""
    window = x.new_tensor(_WINDOW)
    flat = x.flatten(0, 1).unsqueeze(1)
    for dim in (-2, -1):
        n = flat.shape[dim]
        if n > 1:
            flat = flat.movedim(dim, -1)
            padded = torch.nn.functional.pad(flat, (1, 1 + n % 2))
            halved = torch.nn.functional.conv2d(padded, window.reshape(1, 1, 1, 4), stride=(1, 2))
            flat = halved.movedim(-1, dim)
    return flat.squeeze(1).unflatten(0, x.shape[:2])
