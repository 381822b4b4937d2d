"""Pixels that were not seen: inpainting."""

from typing import final

import torch
from torch import Tensor

from undegrade.core.image import Image, PerSample, spread
from undegrade.core.operator import LinearOperator

_WINDOW = (0.0625, 0.25, 0.375, 0.25, 0.0625)  # a binomial window, close to a Gaussian


@final
class Mask(LinearOperator):
    """x ↦ observed·x, entry by entry: what was not observed measures as 0.

    Arguments:
        observed: 1 where a pixel was seen, 0 where it was lost; shape (h w), (c|1 h w) or
            (b|1 c|1 h w); boolean or float. Entries in between weaken a pixel.

    Raises:
        ValueError: another number of dimensions.
    """

    observed: Tensor

    def __init__(self, observed: Tensor) -> None:
        super().__init__()
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
        if x.shape[-2:] != self.observed.shape[-2:]:
            raise ValueError(
                f"the mask is for {self.observed.shape[-2]}×{self.observed.shape[-1]} pixels, "
                f"the image has {x.shape[-2]}×{x.shape[-1]}"
            )
        return x * self.observed.to(x)

    def adjoint(self, y: Tensor) -> Image:
        return self(y)

    def initial(self, y: Tensor) -> Image:
        """Lost pixels become a weighted mean of the seen ones nearby.

        The windows grow by octaves: each hole takes its value from the smallest one that saw
        something (normalized averaging over a pyramid). An image without any seen pixel stays 0.
        """
        weight = self.observed.to(y).expand_as(y)
        return _filled(y * weight, weight)

    @property
    def closed_form(self) -> bool:
        return True

    def normal_solve(self, b: Image, shift: float | PerSample) -> Tensor:
        """The quotient b / (observed² + shift)."""
        return b / (self.observed.to(b).square() + spread(shift, b))


def _filled(total: Tensor, weight: Tensor) -> Tensor:
    """Σ weight·value / Σ weight, taken from coarser grids where the weight is 0.

    Knutsson and Westin, Normalized and differential convolution (1993), on a pyramid.
    """
    tiny = torch.finfo(total.dtype).tiny
    size = total.shape[-2:]
    if max(size) == 1:
        return torch.where(weight > 0, total / weight.clamp(min=tiny), torch.zeros_like(total))
    coarse = _filled(_halved(total), _halved(weight))
    below = torch.nn.functional.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    trust = weight.clamp(max=1)
    return torch.where(weight > 0, total / weight.clamp(min=tiny), below) * trust + below * (
        1 - trust
    )


def _halved(x: Tensor) -> Tensor:
    """Binomial smoothing and every second pixel, along each axis that is longer than 1."""
    window = x.new_tensor(_WINDOW)
    flat = x.flatten(0, 1).unsqueeze(1)
    for dim in (-2, -1):
        if flat.shape[dim] > 1:
            shape, stride, padding = ((5, 1), (2, 1), (2, 0))
            if dim == -1:
                shape, stride, padding = shape[::-1], stride[::-1], padding[::-1]
            flat = torch.nn.functional.conv2d(
                flat, window.reshape(1, 1, *shape), stride=stride, padding=padding
            )
    return flat.squeeze(1).unflatten(0, x.shape[:2])
