"""A degradation in the words of the command line."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from undegrade.core.likelihood import Likelihood
from undegrade.degradations.degradation import Degradation, Shape
from undegrade.degradations.kernel_file import read_kernel
from undegrade.degradations.suggestion import did_you_mean
from undegrade.files.picture import read_image
from undegrade.kernels import arguments, formulas
from undegrade.kernels.camera_shake import camera_shake_psfs
from undegrade.likelihoods import noises
from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample
from undegrade.operators.mask import Mask
from undegrade.operators.padding import Boundary

ESTIMATE = "estimate"  # a blur of a family, its parameters to be told by the picture
_LARGEST = 255  # pixels per side of a kernel given by a formula

_OF_THE_RANGE = ("STD", "SCALE")  # units of noise that are those of the picture
_REACH = {"motion": 1.0, "gaussian": 6.0, "disk": 2.0}  # width of a kernel over its first number

_BLURS = "motion:LENGTH:ANGLE, gaussian:STD, disk:RADIUS, shake:SIZE or a kernel file (.npy, .mat)"


@dataclass(frozen=True, kw_only=True)
class DegradationFlags:
    """What is known of how a picture was degraded: y = mask(round(downsample(blur(x)) + noise)).

    Arguments:
        blur: motion:LENGTH:ANGLE, gaussian:STD, disk:RADIUS, shake:SIZE (random camera shake), all
            in pixels and degrees, or a kernel file (.npy, .mat, a picture; FILE:3 takes the third
            of several). `restore` also takes estimate:disk, estimate:gaussian, estimate:motion, or
            with a start as estimate:disk:4, or a range as disk:3..6: the parameters are told by the
            picture.
        boundary: what the blur finds past the border.
        downsample: keep one pixel of every block of this many by this many: 2, 3 or 4.
        mask: fraction of the pixels that are lost, or a picture that is black where they are.
        noise: gaussian:STD or laplace:SCALE in units of the range from 0 to 1, poisson:PEAK in
            photons at white, or salt-and-pepper:FRACTION of the entries.
        bits: of the file that holds the degraded picture, clipped to [0, 1] and rounded; 1 to 16.

    Raises:
        ValueError: a word or number that means nothing; the message says what was expected.
    """

    blur: str | None = None
    boundary: Boundary = "replicate"
    downsample: int | None = None
    mask: float | str | None = None
    noise: str | None = None
    bits: int | None = None

    def __post_init__(self) -> None:
        _ = self.likelihood
        if self.downsample not in (None, 2, 3, 4):
            raise ValueError(f"downsample must be 2, 3 or 4, got {self.downsample}")
        fraction = self._fraction_lost()
        if fraction is not None and not 0 <= fraction <= 1:
            raise ValueError(f"the fraction of lost pixels lies from 0 to 1, got {fraction}")

    def build(self, shape: tuple[int, ...]) -> Degradation:
        """The degradation of pictures of a shape (…, c, h, w); see also `image_shape`.

        Raises:
            ValueError: the parts do not fit the shape; a file cannot be used; something is random:
                what was random cannot be known from its distribution.
        """
        return self._built(shape, None)

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Degradation:
        """As `build`, with the kernel of `shake` and the mask of a fraction drawn for every image.

        Raises:
            ValueError: the parts do not fit the shape; a file cannot be used.
        """
        return self._built(shape, generator)

    def _built(self, shape: tuple[int, ...], generator: torch.Generator | None) -> Degradation:
        *batch, channels, height, width = shape
        count = math.prod(batch)
        full: Shape = (channels, height, width)
        blur, downsample = self._blur(count, generator), self._downsample()
        maskless = Degradation(shape=full, blur=blur, downsample=downsample)
        return Degradation(
            shape=full,
            blur=blur,
            downsample=downsample,
            mask=self._mask(count, maskless.measured_shape, generator),
            likelihood=self.likelihood,
            bits=self.bits,
        )

    @property
    def words(self) -> list[str]:
        """The flags that differ from their defaults, as they are typed: ["--bits", "8"]."""
        usual = vars(DegradationFlags())
        given = {name: value for name, value in vars(self).items() if value != usual[name]}
        return [part for name, value in given.items() for part in (f"--{name}", str(value))]

    def image_shape(self, measured: tuple[int, ...]) -> Shape:
        """Channels, height and width of the picture that a measurement (…, c, h, w) is of."""
        factor = self.downsample or 1
        blur = self._blur(1, None) if self.boundary == "valid" else None
        extra = (0, 0) if blur is None else (2 * blur.margin[0], 2 * blur.margin[1])
        return measured[-3], factor * measured[-2] + extra[0], factor * measured[-1] + extra[1]

    def _blur(self, count: int, generator: torch.Generator | None) -> Blur | None:
        if self.blur is None:
            return None
        return Blur(_kernel(self.blur, count, generator), self.boundary)

    def _downsample(self) -> Downsample | None:
        return None if self.downsample is None else Downsample(self.downsample)

    @property
    def likelihood(self) -> Likelihood | None:
        """The noise that was said; None where nothing was."""
        if self.noise is None:
            return None
        kind, _, number = self.noise.partition(":")
        kinds = noises()
        if kind not in kinds:
            known = ", ".join(f"{name}:{noise.unit}" for name, noise in kinds.items())
            hint = did_you_mean(kind, kinds)
            raise ValueError(f"noise must be one of {known}, got {self.noise!r}; {hint}")
        noise = kinds[kind]
        level = _number(number, f"{kind}:{noise.unit}", self.noise)
        if noise.unit in _OF_THE_RANGE and level > 1:
            raise ValueError(
                f"the noise {self.noise} is larger than the range of a picture, which is from 0 to "
                f"1; did you mean {level:g}/255, {kind}:{level / 255:.2g}?"
            )
        return noise(level)

    def _fraction_lost(self) -> float | None:
        """The fraction; None where there is no mask, or one from a file."""
        try:
            return None if self.mask is None else float(self.mask)
        except ValueError:
            return None

    def _mask(self, count: int, shape: Shape, generator: torch.Generator | None) -> Mask | None:
        if self.mask is None:
            return None
        fraction = self._fraction_lost()
        if fraction is None:
            return Mask(_mask_from_file(str(self.mask)))
        if generator is None:
            raise ValueError(
                f"which pixels a mask of {fraction} lost is random: give the description that was "
                f"written with the picture, or a mask file"
            )
        grid = count, 1, *shape[1:]
        chance = torch.rand(grid, generator=generator, device=generator.device)
        return Mask(chance >= fraction)


def is_range(blur: str) -> bool:
    """Whether a blur is a formula with a range of numbers, such as disk:3..6."""
    kind, _, numbers = blur.partition(":")
    return kind in formulas() and ".." in numbers


def _kernel(text: str, count: int, generator: torch.Generator | None) -> Tensor:
    kind, *numbers = text.split(":")
    if kind == ESTIMATE or is_range(text):
        raise ValueError(f"{text} needs a blurred picture that tells: only `restore` takes it")
    if kind == "shake":
        return _shake(text, numbers, count, generator)
    if kind not in formulas():
        return _kernel_from_file(text)
    formula = formulas()[kind]
    names = arguments(formula)
    form = ":".join((kind, *names))
    if len(numbers) != len(names):
        raise ValueError(f"expected the blur as {form}, got {text!r}")
    values = [_number(number, form, text) for number in numbers]
    if values[0] * _REACH.get(kind, 1.0) > _LARGEST:
        raise ValueError(f"a kernel has at most {_LARGEST} pixels per side, got the blur {text!r}")
    return formula(*values)


def _shake(text: str, numbers: list[str], count: int, generator: torch.Generator | None) -> Tensor:
    if len(numbers) != 1 or not numbers[0].isdecimal() or int(numbers[0]) > _LARGEST:
        raise ValueError(
            f"expected the blur as shake:SIZE, an odd number up to {_LARGEST}, got {text!r}"
        )
    if generator is None:
        raise ValueError(
            f"the kernel of {text!r} is random: give the description that was written with the "
            f"picture, or a kernel file"
        )
    return camera_shake_psfs(count, int(numbers[0]), generator)


def _kernel_from_file(text: str) -> Tensor:
    if not Path(text).suffix:
        hint = did_you_mean(text.partition(":")[0], (*formulas(), "shake"))
        raise ValueError(
            f"a blur can be undone where its kernel is known, as {_BLURS}, got {text!r}; {hint}"
        )
    return read_kernel(text)


def _mask_from_file(name: str) -> Tensor:
    """True where the picture is bright, (h w)."""
    if not Path(name).is_file():
        raise ValueError(
            f"mask must be the fraction of lost pixels or a picture file, got {name!r}"
        )
    return read_image(name).mean((0, 1)) > 0.5


def _number(text: str, form: str, given: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"expected {form} with a number, got {given!r}")
    return value
