"""What happened to a picture, complete enough to repeat it and to undo it."""

import functools
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from undegrade.core.image import Image
from undegrade.core.likelihood import Likelihood
from undegrade.core.measurement import Measurement
from undegrade.core.operator import Operator
from undegrade.degradations.jpeg import Jpeg
from undegrade.degradations.named_operator import NamedOperator, Shape
from undegrade.degradations.unknown_noise import unknown_noise
from undegrade.likelihoods.rounded import Rounded
from undegrade.likelihoods.rounding import rounded
from undegrade.likelihoods.saturated import Saturated
from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample
from undegrade.operators.identity import Identity
from undegrade.operators.low_resolution import LowResolution
from undegrade.operators.mask import Mask
from undegrade.operators.response import Response

_MOST_BITS = 16
_MANY = 1e-3  # part of a picture's entries at the top of the range that is no chance
_COARSE = 4.0  # steps over the deviation: rounding alone, taken for noise, has 3.5

Scene = Literal["linear", "encoded"]
"""Whether a picture x is linear light, or holds what a response makes of it, as files do."""


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """y = mask(jpeg(round(clip(response(downsample(blur(φ(x)))) + noise)))).

    What is None did not happen.

    Parts may differ from image to image of a batch: kernels (b c|1 kh kw), masks (b c|1 h w),
    levels of noise (b,).

    Arguments:
        shape: channels, height and width of the picture x.
        first: φ, an operator of another package.
        blur: of what that makes of the picture.
        downsample: the pixels kept of what the blur left.
        response: from linear light to what is measured.
        scene: what x is: "linear" light, or "encoded" by the same response, as a picture file is:
            then blur and downsampling see its light, response⁻¹(x).
        mask: the entries seen, in the size of the measurement.
        likelihood: the noise; None where there is none, or where it is not known.
        saturation: whether measurements end at 1, so that an entry there says "at least"; None
            takes them for that where there are many and a blur is known.
        bits: of the file that holds the measurement, clipped to [0, 1]; None keeps it as it is.
        jpeg: compression of the measurement, which has 8 bits then.
        notes: what was assumed, a sentence each; no description holds them.

    Raises:
        ValueError: the parts do not fit the shape or each other.
    """

    shape: Shape
    first: NamedOperator | None = None
    blur: Blur | None = None
    downsample: Downsample | None = None
    response: Response | None = None
    scene: Scene = "linear"
    mask: Mask | None = None
    likelihood: Likelihood | None = None
    saturation: bool | None = None
    bits: int | None = None
    jpeg: Jpeg | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise ValueError(f"a picture has at least one pixel, got the shape {self.shape}")
        if self.blur is not None:
            self.blur.measured_size(self._first_shape[1:])
            _check_channels(self.blur.psf, self._first_shape[0])
        _check_factor(self.downsample, self._blurred)
        if self.mask is not None:
            _check_mask(self.mask.observed, self.measured_shape)
        if self.likelihood is not None:
            _check_levels(self.likelihood, self.measured_shape[0])
        if self.bits is not None and not 1 <= self.bits <= _MOST_BITS:
            raise ValueError(f"a file has 1 to {_MOST_BITS} bits a sample, got {self.bits}")
        if self.jpeg is not None:
            self.jpeg.transform(self.measured_shape)
            if self.mask is not None or self.saturation:
                raise ValueError("a JPEG with lost or clipped entries cannot be described")

    @property
    def operator(self) -> Operator:
        """φ = mask ∘ response ∘ downsample ∘ blur; of a JPEG, its coefficients before rounding."""
        jpeg = None if self.jpeg is None else self.jpeg.transform(self.measured_shape)
        return _composed(jpeg, self._pixels)

    @property
    def _pixels(self) -> Operator:
        """From the picture to measured pixels."""
        light = [part for part in (*self._resolution, self._first) if part is not None]
        if self.response is not None and self.scene == "linear":
            light = [self.response, *light]
        elif self.response is not None and light:  # else it would be taken back at once
            light = [self.response, *light, self.response.inverse]
        return _composed(self.mask, *light)

    @property
    def _resolution(self) -> tuple[Operator | None, ...]:
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
        return self._first_shape[0], height // factor, width // factor

    @functools.cached_property
    def _first(self) -> Operator | None:
        return None if self.first is None else self.first.build(self.shape)

    @functools.cached_property
    def _first_shape(self) -> Shape:
        """Channels, height and width of φ(x)."""
        if self._first is None:
            return self.shape
        channels, height, width = self._first(torch.zeros(1, *self.shape)).shape[1:]
        return channels, height, width

    @property
    def _blurred(self) -> tuple[int, int]:
        size = self._first_shape[1:]
        return size if self.blur is None else self.blur.measured_size(size)

    def degrade(self, x: Image, generator: torch.Generator) -> Tensor:
        """A measurement of x; without a likelihood, φ(x) itself. What is lost measures exactly 0.

        Raises:
            ValueError: x has another shape than the degradation is for.
        """
        _check_shape("picture", tuple(x.shape[1:]), self.shape)
        y = self._pixels(x)
        if self.likelihood is not None:
            y = self.likelihood.sample(y, generator)
        if self.saturation:
            y = y.clamp(max=1)
        if self.jpeg is not None:
            y = self.jpeg.compressed(y)
        if self.bits is not None:
            y = rounded(y, self.bits)
        return self._without_the_lost(y)

    def measurement(self, y: Tensor) -> Measurement:
        """What is known about y. Unknown noise is taken as white, its level estimated from y.

        Raises:
            ValueError: y has another shape than this degradation makes.
        """
        _check_shape("degraded picture", tuple(y.shape[1:]), self.measured_shape)
        known = self.completed(y)
        likelihood = known.likelihood
        if self.jpeg is not None:
            rounding = self.jpeg.likelihood(y, None if likelihood is None else likelihood.noise)
            return Measurement(self.jpeg.coefficients(y), self.operator, rounding)
        if likelihood is None:
            raise ValueError("the noise of a degradation without JPEG was completed")
        return Measurement(y, self._pixels, self._in_file(y, likelihood))

    def completed(self, y: Tensor) -> "Degradation":
        """The same with the level of unknown noise as y shows it.

        What a JPEG makes of unknown noise is not told from its rounding, and so taken for that.
        """
        if self.likelihood is not None or self.jpeg is not None:
            return self
        noise = unknown_noise(y, self._pixels, self.bits)
        return replace(self, likelihood=noise)

    def _in_file(self, y: Tensor, likelihood: Likelihood) -> Likelihood:
        """The likelihood of what the file left of the measurement, where that matters."""
        if self.bits is not None:
            step, noise = 1 / (2**self.bits - 1), likelihood.noise
            precision = noise.precision(y)
            sure = noise.quadratic and bool((precision > 0).all())
            if sure and step > _COARSE * float(precision.rsqrt().min()):
                return Rounded(precision.rsqrt(), step)
        if self.saturation or (self.saturation is None and self._clipped(y, likelihood)):
            return Saturated(likelihood.noise)
        return likelihood

    def _clipped(self, y: Tensor, likelihood: Likelihood) -> bool:
        """Whether highlights were clipped, and stand for more light than they show."""
        if self.blur is None or not likelihood.noise.smooth:
            return False
        top = self._without_the_lost(y) >= 1
        trusted = likelihood.noise.precision(y) > 0  # false at the top under salt and pepper
        return bool(((top & trusted).float().mean() > _MANY).any())

    def _without_the_lost(self, y: Tensor) -> Tensor:
        return y if self.mask is None else torch.where(self.mask.observed.to(y) == 0, 0, y)


def _composed(*parts: Operator | None) -> Operator:
    """The parts that are there, the last one first."""
    return functools.reduce(
        lambda outer, inner: outer @ inner, [p for p in parts if p is not None], Identity()
    )


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


def _check_levels(likelihood: Likelihood, channels: int) -> None:
    for name, level in likelihood.named_buffers():
        if level.ndim == 4 and level.shape[1] not in (1, channels):
            raise ValueError(
                f"noise has one {name}, or one for each of the {channels} channels, "
                f"got {level.shape[1]}"
            )


def _check_shape(what: str, got: tuple[int, ...], expected: Shape) -> None:
    if got != expected:
        channels, height, width = expected
        raise ValueError(
            f"the degradation is for a {what} of {height}×{width} pixels and {channels} "
            f"channel(s), got {got[1]}×{got[2]} and {got[0]}"
        )
