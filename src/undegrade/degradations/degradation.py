"""What happened to a picture, complete enough to repeat it and to undo it."""

import functools
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from undegrade.core.image import Image
from undegrade.core.likelihood import Likelihood
from undegrade.core.measurement import Measurement
from undegrade.core.operator import LinearOperator
from undegrade.degradations.unknown_noise import unknown_noise
from undegrade.likelihoods.rounding import rounded
from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample
from undegrade.operators.identity import Identity
from undegrade.operators.low_resolution import LowResolution
from undegrade.operators.mask import Mask

_MOST_BITS = 16

Shape = tuple[int, int, int]
"""Channels, height and width."""


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """y = mask(round(downsample(blur(x)) + noise)); a part that is None did not happen.

    Parts may differ from image to image of a batch: kernels (b c|1 kh kw), masks (b c|1 h w),
    levels of noise (b,).

    Arguments:
        shape: channels, height and width of the picture x.
        blur: comes first.
        downsample: the pixels kept of what the blur left.
        mask: the entries seen, in the size of the measurement.
        likelihood: the noise; None where there is none, or where it is not known.
        bits: of the file that holds the measurement, clipped to [0, 1]; None keeps it as it is.
        notes: what was assumed, a sentence each; no description holds them.

    Raises:
        ValueError: the parts do not fit the shape or each other.
    """

    shape: Shape
    blur: Blur | None = None
    downsample: Downsample | None = None
    mask: Mask | None = None
    likelihood: Likelihood | None = None
    bits: int | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise ValueError(f"a picture has at least one pixel, got the shape {self.shape}")
        if self.blur is not None:
            self.blur.measured_size(self.shape[1:])
            _check_channels(self.blur.psf, self.shape[0])
        _check_factor(self.downsample, self._blurred)
        if self.mask is not None:
            _check_mask(self.mask.observed, self.measured_shape)
        if self.bits is not None and not 1 <= self.bits <= _MOST_BITS:
            raise ValueError(f"a file has 1 to {_MOST_BITS} bits a sample, got {self.bits}")

    @property
    def operator(self) -> LinearOperator:
        """φ = mask ∘ downsample ∘ blur."""
        parts = [p for p in (self.mask, *self._resolution) if p is not None] or [Identity()]
        return functools.reduce(_composed, parts)

    @property
    def _resolution(self) -> tuple[LinearOperator | None, ...]:
        """Downsample ∘ blur; as one operator where that has a closed form."""
        blur, downsample = self.blur, self.downsample
        if blur is None or downsample is None or blur.boundary != "periodic":
            return downsample, blur
        return (LowResolution(blur.psf, downsample.factor),)

    @property
    def measured_shape(self) -> Shape:
        """Channels, height and width of y."""
        factor = 1 if self.downsample is None else self.downsample.factor
        height, width = self._blurred
        return self.shape[0], height // factor, width // factor

    @property
    def _blurred(self) -> tuple[int, int]:
        size = self.shape[1:]
        return size if self.blur is None else self.blur.measured_size(size)

    def degrade(self, x: Image, generator: torch.Generator) -> Tensor:
        """A measurement of x; without a likelihood, φ(x) itself. What is lost measures exactly 0.

        Raises:
            ValueError: x has another shape than the degradation is for.
        """
        _check_shape("picture", tuple(x.shape[1:]), self.shape)
        y = self.operator(x)
        if self.likelihood is not None:
            y = self.likelihood.sample(y, generator)
        if self.bits is not None:
            y = rounded(y, self.bits)
        return y if self.mask is None else torch.where(self.mask.observed.to(y) == 0, 0, y)

    def measurement(self, y: Tensor) -> Measurement:
        """What is known about y. Unknown noise is taken as white, its level estimated from y.

        Raises:
            ValueError: y has another shape than this degradation makes.
        """
        _check_shape("degraded picture", tuple(y.shape[1:]), self.measured_shape)
        operator, likelihood = self.operator, self.likelihood
        if likelihood is None:
            likelihood = unknown_noise(y, operator, self.bits)
        return Measurement(y, operator, likelihood)


def _composed(outer: LinearOperator, inner: LinearOperator) -> LinearOperator:
    return cast(LinearOperator, outer @ inner)


def _check_channels(psf: Tensor, channels: int) -> None:
    if psf.ndim > 2 and psf.shape[-3] not in (1, channels):
        raise ValueError(f"the kernel is for {psf.shape[-3]} channels, the picture has {channels}")


def _check_factor(downsample: Downsample | None, size: tuple[int, int]) -> None:
    if downsample is not None and (size[0] % downsample.factor or size[1] % downsample.factor):
        raise ValueError(
            f"the height and width must be multiples of {downsample.factor} to be downsampled, "
            f"got {size[0]}×{size[1]}"
        )


def _check_mask(observed: Tensor, shape: Shape) -> None:
    channels, height, width = observed.shape[1:]
    if (height, width) != shape[1:] or channels not in (1, shape[0]):
        raise ValueError(
            f"the mask is for {channels} × {height}×{width} entries, "
            f"the degraded picture has {shape[0]} × {shape[1]}×{shape[2]}"
        )


def _check_shape(what: str, got: tuple[int, ...], expected: Shape) -> None:
    if got != expected:
        channels, height, width = expected
        raise ValueError(
            f"the degradation is for a {what} of {height}×{width} pixels and {channels} "
            f"channel(s), got {got[1]}×{got[2]} and {got[0]}"
        )
