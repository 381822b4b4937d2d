"""What a camera makes of light: a curve from linear light to the values of a file."""

from typing import Protocol, final, runtime_checkable

import torch
from torch import Tensor

from undegrade.core.image import Image, followed
from undegrade.core.operator import LinearOperator, Operator
from undegrade.operators.mask import Mask

_STRIP = 2**18  # entries that are differentiated at once, 1 MB: they stay in the cache


@runtime_checkable
class Curve(Protocol):
    """An increasing function of one number and its inverse, entry by entry."""

    def encode(self, z: Tensor) -> Tensor: ...
    def decode(self, y: Tensor) -> Tensor: ...


@final
class Response(Operator):
    """z ↦ curve(z), entry by entry: linear light becomes what a file holds.

    Comes after what happens in linear light (blur, low resolution): `Response(SRGB()) @ Blur(psf)`.
    Its derivative is diagonal, so that a linearization costs one product an entry.

    Arguments:
        curve: such as `SRGB()`, `Gamma(2.2)`, `Logarithm()`, `Table(...)`.
    """

    def __init__(self, curve: Curve) -> None:
        super().__init__()
        self.curve = curve

    def extra_repr(self) -> str:
        return f"curve={self.curve}"

    def forward(self, x: Image) -> Tensor:
        return self.curve.encode(x)

    def initial(self, y: Tensor) -> Image:
        """The light that measures as y: the curve's inverse."""
        return self.curve.decode(y)

    def linearize(self, x: Image) -> tuple[Tensor, LinearOperator]:
        """The curve and its slope, from one evaluation."""
        # by strips of rows: what the derivative remembers is many times its result
        strips = [self._with_slope(strip) for strip in x.split(_rows(x), -2)]
        value, slope = (torch.cat(parts, -2) for parts in zip(*strips, strict=True))
        return value, Mask(slope)

    def _with_slope(self, x: Image) -> tuple[Tensor, Tensor]:
        if not (torch.is_grad_enabled() or torch.is_inference_mode_enabled() or followed(x)):
            # torch.func would load torch's compiler for it, which takes seconds
            with torch.enable_grad():
                leaf = x.detach().requires_grad_()
                value = self.curve.encode(leaf)
                (slope,) = torch.autograd.grad(value.sum(), leaf)
            return value.detach(), slope
        value, back, *_ = torch.func.vjp(self.curve.encode, x)
        return value, back(torch.ones_like(value))[0]

    @property
    def interior(self) -> "Response":
        """Itself: an entry of y is made of one pixel."""
        return self

    @property
    def inverse(self) -> "Response":
        """From the values of a file to linear light."""
        curve = self.curve
        return Response(curve.curve if isinstance(curve, Inverted) else Inverted(curve))


def _rows(x: Image) -> int:
    return max(_STRIP * x.shape[-2] // max(x.numel(), 1), 1)


@final
class Inverted:
    """The inverse of a curve, as a curve.

    Arguments:
        curve: what is inverted.
    """

    def __init__(self, curve: Curve) -> None:
        self.curve = curve

    def __repr__(self) -> str:
        return f"Inverted({self.curve})"

    def encode(self, z: Tensor) -> Tensor:
        """The other's `decode`."""
        return self.curve.decode(z)

    def decode(self, y: Tensor) -> Tensor:
        """The other's `encode`."""
        return self.curve.encode(y)
