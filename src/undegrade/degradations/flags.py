"""A degradation in the words of the command line."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from undegrade.core.image import Image
from undegrade.core.likelihood import Likelihood
from undegrade.degradations.blur_words import kernel_of, number
from undegrade.degradations.camera_words import OWN, read_jpeg, read_response
from undegrade.degradations.degradation import Degradation, Scene
from undegrade.degradations.kernel_repair import within
from undegrade.degradations.mask_file import Lost, read_mask
from undegrade.degradations.named_operator import NamedOperator, Shape
from undegrade.degradations.suggestion import did_you_mean
from undegrade.likelihoods import noises
from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample
from undegrade.operators.mask import Mask
from undegrade.operators.padding import Boundary

_WIDEST = 1000  # pixels: no mask is drawn so tight
_OF_THE_RANGE = ("STD", "SCALE")  # units of noise that are those of the picture


@dataclass(frozen=True, kw_only=True)
class DegradationFlags:
    """What is known of how a picture was degraded: y = mask(round(downsample(blur(x)) + noise)).

    Arguments:
        operator: NAME:NUMBERS, an operator that an installed package adds, which comes before all
            else; `undegrade methods` lists them.
        blur: motion:LENGTH:ANGLE, gaussian:STD, disk:RADIUS, shake:SIZE (random camera shake), all
            in pixels and degrees; bicubic or area, the kernel of a reduction by --downsample; or a
            kernel file (.npy, .mat, a picture; FILE:3 takes the third of several). `restore` also
            takes estimate:disk, estimate:gaussian, estimate:motion, or with a start as
            estimate:disk:4, or a range as disk:3..6: the parameters are told by the picture.
        boundary: what the blur finds past the border.
        downsample: keep one pixel of every block of this many by this many: 2, 3 or 4.
        mask: fraction of the pixels that are lost, or a picture that is black where they are, or
            has it painted on a transparent layer. What is not clearly seen is lost.
        lost: what of the mask's picture is lost: black, white, or auto, which looks at the degraded
            picture where more than half would be lost.
        grow_mask: pixels by which what is lost is widened, for a mask that was drawn too tight.
        response: of the camera or file, from linear light to its values: srgb, gamma:G (light to
            the power of 1/G), log, log:GAIN or curve:FILE (two columns, light and value; or the
            values for evenly spaced light).
        scene: what the picture is: encoded by the response as files are, so that blur and
            downsampling see its light; or linear light.
        noise: gaussian:STD or laplace:SCALE in units of the range from 0 to 1, poisson:PEAK in
            photons at white, sensor:GAIN:STD (a photon's worth and the read-out), or
            salt-and-pepper:FRACTION of the entries.
        saturation: on where values end at 1, so that a value there says "at least this much"; off
            takes them as they are; auto is on where there are many and a blur is known.
        jpeg: compression: a quality from 1 to 100; a JPEG file, whose tables are taken; or own for
            those of the picture itself.
        bits: of the file that holds the degraded picture, clipped to [0, 1] and rounded; 1 to 16.

    Raises:
        ValueError: a word or number that means nothing; the message says what was expected.
    """

    operator: str | None = None
    blur: str | None = None
    boundary: Boundary = "replicate"
    downsample: int | None = None
    mask: float | str | None = None
    lost: Lost = "auto"
    grow_mask: int = 0
    response: str | None = None
    scene: Scene = "encoded"
    noise: str | None = None
    saturation: Literal["auto", "on", "off"] = "auto"
    bits: int | None = None
    jpeg: int | str | None = None

    def __post_init__(self) -> None:
        _ = self.likelihood, self.first
        read_response(self.response)
        read_jpeg(self.jpeg)
        if self.downsample not in (None, 2, 3, 4):
            raise ValueError(f"downsample must be 2, 3 or 4, got {self.downsample}")
        if not 0 <= self.grow_mask <= _WIDEST:
            raise ValueError(
                f"--grow-mask is a number of pixels up to {_WIDEST}, got {self.grow_mask}"
            )
        fraction = self._fraction_lost()
        if fraction is not None and not 0 <= fraction <= 1:
            raise ValueError(f"the fraction of lost pixels lies from 0 to 1, got {fraction}")

    def build(self, shape: tuple[int, ...], y: Image | None = None) -> Degradation:
        """The degradation of pictures of a shape (…, c, h, w); see also `image_shape`.

        Arguments:
            shape: of the pictures.
            y: a degraded picture, which tells what of a mask is lost.

        Raises:
            ValueError: the parts do not fit the shape; a file cannot be used; something is random:
                what was random cannot be known from its distribution.
        """
        return self._built(shape, None, y)

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Degradation:
        """As `build`, with the kernel of `shake` and the mask of a fraction drawn for every image.

        Raises:
            ValueError: the parts do not fit the shape; a file cannot be used.
        """
        return self._built(shape, generator, None)

    def amend(self, known: Degradation, y: Image) -> Degradation:
        """A degradation of y, with the parts that the flags say in place of its own.

        Raises:
            ValueError: the parts do not fit y; a file cannot be used; something is random.
        """
        notes = list[str]()
        downsample = self._downsample() or known.downsample
        blur, given = known.blur, {name.partition("=")[0] for name in self.words}
        if blur is not None and "--boundary" in given:
            blur = Blur(blur.psf, self.boundary)
        if self.blur is not None:
            boundary = self.boundary if blur is None or "--boundary" in given else blur.boundary
            size = y.shape[1], y.shape[2] * _factor(downsample), y.shape[3] * _factor(downsample)
            blur = replace(self, boundary=boundary)._blur(1, None, size, notes)
        measured: Shape = (y.shape[1], y.shape[2], y.shape[3])
        mask = self._mask(1, measured, None, y, notes)
        shape, first = _before(measured, blur, downsample), known.first
        if self.first is not None:
            shape, first = self.first.image_shape(shape), self.first
        elif first is not None:
            shape = known.shape
        return Degradation(
            shape=shape,
            first=first,
            blur=blur,
            downsample=downsample,
            mask=known.mask if mask is None else mask,
            response=read_response(self.response) or known.response,
            scene=self.scene if self.response or "--scene" in given else known.scene,
            likelihood=self.likelihood or known.likelihood,
            saturation=known.saturation if self.saturation == "auto" else self.saturation == "on",
            bits=self.bits or known.bits,
            jpeg=read_jpeg(self.jpeg) or known.jpeg,
            notes=(*known.notes, *notes),
        )

    def _built(
        self, shape: tuple[int, ...], generator: torch.Generator | None, y: Image | None
    ) -> Degradation:
        *batch, channels, height, width = shape
        count, notes = math.prod(batch), list[str]()
        full: Shape = (channels, height, width)
        blurless = Degradation(shape=full, first=self.first)
        blur = self._blur(count, generator, blurless.measured_shape, notes)
        downsample = self._downsample()
        maskless = replace(blurless, blur=blur, downsample=downsample)
        return Degradation(
            shape=full,
            first=self.first,
            blur=blur,
            downsample=downsample,
            mask=self._mask(count, maskless.measured_shape, generator, y, notes),
            response=read_response(self.response),
            scene=self.scene if self.response else "linear",
            likelihood=self.likelihood,
            saturation={"on": True, "off": False}.get(self.saturation),
            bits=self.bits,
            jpeg=read_jpeg(self.jpeg),
            notes=tuple(notes),
        )

    def for_file(self, path: Path) -> "DegradationFlags":
        """The same for one picture: its own JPEG tables where these are asked for."""
        return replace(self, jpeg=str(path)) if self.jpeg == OWN else self

    @property
    def words(self) -> list[str]:
        """The flags that differ from their defaults, as they are typed: ["--bits", "8"]."""
        usual = vars(DegradationFlags())
        given = {name: value for name, value in vars(self).items() if value != usual[name]}
        flags = {f"--{name.replace('_', '-')}": str(value) for name, value in given.items()}
        return [part for pair in flags.items() for part in pair]

    def image_shape(self, measured: tuple[int, ...]) -> Shape:
        """Channels, height and width of the picture that a measurement (…, c, h, w) is of."""
        blur = self._blur(1, None, None, []) if self.boundary == "valid" else None
        shape = _before((measured[-3], measured[-2], measured[-1]), blur, self._downsample())
        return shape if self.first is None else self.first.image_shape(shape)

    def _blur(
        self,
        count: int,
        generator: torch.Generator | None,
        shape: Shape | None,
        notes: list[str],
    ) -> Blur | None:
        if self.blur is None:
            return None
        kernel, done = kernel_of(self.blur, count, generator, self.downsample)
        notes += done
        if shape is not None and self.boundary != "valid":
            kernel, cut = within(kernel, shape[1:])
            notes += cut
        if kernel.ndim == 3 and shape is not None and shape[0] == 1:
            notes.append("the kernel has one for each color, the picture is gray: their mean")
            kernel = kernel.mean(0)
        return Blur(kernel, self.boundary)

    def _downsample(self) -> Downsample | None:
        return None if self.downsample is None else Downsample(self.downsample)

    @property
    def first(self) -> NamedOperator | None:
        """The operator of another package; None where none was said."""
        if self.operator is None:
            return None
        name, *numbers = self.operator.split(":")
        form = "NAME:NUMBERS"
        return NamedOperator(name, tuple(number(n, form, self.operator) for n in numbers))

    @property
    def likelihood(self) -> Likelihood | None:
        """The noise that was said; None where nothing was."""
        if self.noise is None:
            return None
        kind, *numbers = self.noise.split(":")
        kinds = noises()
        if kind not in kinds:
            known = ", ".join(f"{name}:{noise.unit}" for name, noise in kinds.items())
            hint = did_you_mean(kind, kinds)
            raise ValueError(f"noise must be one of {known}, got {self.noise!r}; {hint}")
        noise = kinds[kind]
        form = f"{kind}:{noise.unit}"
        if len(numbers) != form.count(":"):
            count = "a number" if form.count(":") == 1 else f"{form.count(':')} numbers"
            raise ValueError(f"expected {form} with {count}, got {self.noise!r}")
        levels = [number(n, form, self.noise) for n in numbers]
        if noise.unit in _OF_THE_RANGE and levels[0] > 1:
            raise ValueError(
                f"the noise {self.noise} is larger than the range of a picture, which is from 0 to "
                f"1; did you mean {levels[0]:g}/255, {kind}:{levels[0] / 255:.2g}?"
            )
        return noise(*levels)

    def _fraction_lost(self) -> float | None:
        """The fraction; None where there is no mask, or one from a file."""
        try:
            return None if self.mask is None else float(self.mask)
        except ValueError:
            return None

    def _mask(
        self,
        count: int,
        shape: Shape,
        generator: torch.Generator | None,
        y: Image | None,
        notes: list[str],
    ) -> Mask | None:
        if self.mask is None:
            return None
        fraction = self._fraction_lost()
        if fraction is None:
            if not Path(str(self.mask)).is_file():
                raise ValueError(
                    f"mask must be the fraction of lost pixels or a picture file, got {self.mask!r}"
                )
            marked = read_mask(str(self.mask), y, self.lost, self.grow_mask)
            notes += marked.notes
            return Mask(marked.observed)
        if generator is None:
            raise ValueError(
                f"which pixels a mask of {fraction} lost is random: give the description that was "
                f"written with the picture, or a mask file"
            )
        grid = count, 1, *shape[1:]
        chance = torch.rand(grid, generator=generator, device=generator.device)
        return Mask(chance >= fraction)


def _factor(downsample: Downsample | None) -> int:
    return 1 if downsample is None else downsample.factor


def _before(measured: Shape, blur: Blur | None, downsample: Downsample | None) -> Shape:
    """The shape of the picture that a measurement is of."""
    factor = _factor(downsample)
    lost = blur is not None and blur.boundary == "valid"
    extra = (2 * blur.margin[0], 2 * blur.margin[1]) if blur is not None and lost else (0, 0)
    return measured[0], factor * measured[1] + extra[0], factor * measured[2] + extra[1]
