"""The samples of an image file, and the form in which they were stored."""

import contextlib
import dataclasses
import io
import struct
import warnings
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin

from undegrade.files.complaint import in_short
from undegrade.files.foreign import explained
from undegrade.files.levels import AS_TYPED, Levels
from undegrade.files.metadata import NO_METADATA, Metadata, metadata_of, tiff_tags
from undegrade.files.png import read_header, read_png16, write_png16
from undegrade.files.tiff import TIFF_SIGNATURES, is_deep_tiff, read_tiff, silenced, write_tiff

Samples: TypeAlias = NDArray[Any]  # (h, w, c), c from 1 to 4; c of 2 or 4 means that alpha is last

SUFFIXES = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".webp": "WEBP",
}
FORMATS = tuple(dict.fromkeys(SUFFIXES.values()))
_DTYPES = {
    "PNG": ("uint8", "uint16"),
    "JPEG": ("uint8",),
    "TIFF": ("uint8", "uint16", "float16", "float32", "float64"),
    "BMP": ("uint8",),
    "WEBP": ("uint8",),
}
_MODES = {  # pillow's mode → gray or color, with alpha or without
    "1": "L",
    "L": "L",
    "LA": "LA",
    "La": "LA",
    "P": "RGB",
    "PA": "RGBA",
    "RGB": "RGB",
    "RGBX": "RGB",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
    "YCbCr": "RGB",
}
LARGEST = 89_478_485  # pixels that are read unless more are asked for: pillow's limit for bombs
_OPTIONS: dict[str, dict[str, Any]] = {
    # JPEG's quality scale: high enough that what was restored is not lost again
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True, "exact": True, "method": 2},
}
_TURNS: dict[int, Callable[[Samples], Samples]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}


@dataclasses.dataclass(frozen=True)
class Form:
    """How a picture is stored.

    Arguments:
        format: PNG, JPEG, TIFF, BMP or WEBP.
        dtype: of one sample: uint8, uint16, float16, float32 or float64.
        palette: whether at most 256 colors are listed and the pixels name them.
        metadata: what the file says beside its pixels.
        levels: what its samples mean.
    """

    format: str
    dtype: str = "uint8"
    palette: bool = False
    metadata: Metadata = NO_METADATA
    levels: Levels = AS_TYPED

    def __post_init__(self) -> None:
        if self.dtype not in _DTYPES[self.format]:
            known = ", ".join(_DTYPES[self.format])
            raise ValueError(f"a {self.format} holds samples of {known}; got {self.dtype}")

    def suited_to(self, path: Path) -> "Form":
        """This form where the suffix of the path agrees with it, else the nearest that does.

        Raises:
            ValueError: the suffix names no known format.
        """
        format = format_of(path)
        if format == self.format:
            return self
        known = _DTYPES[format]
        dtype = self.dtype if self.dtype in known else known[min(1, len(known) - 1)]
        palette = self.palette and format in ("PNG", "TIFF", "BMP")
        levels = self.levels if dtype == self.dtype else AS_TYPED
        return Form(format, dtype, palette, self.metadata, levels)


def format_of(path: Path) -> str:
    """The format that the suffix of a path names.

    Raises:
        ValueError: it names none.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: expected a name that ends in one of {', '.join(SUFFIXES)}")
    return SUFFIXES[path.suffix.lower()]


def read_samples(path: Path, largest: int = LARGEST) -> tuple[Samples, Form]:
    """Decode one picture of at most `largest` pixels, upright as its EXIF orientation says.

    Raises:
        OSError: there is no such file, or it cannot be opened.
        ValueError: it is empty, damaged, too large, or not a picture.
    """
    with path.open("rb") as file, _limited(largest):
        head = file.read(29)
        file.seek(0)
        if not head:
            raise ValueError(f"{path} is empty")
        explanation = explained(path, head)
        if explanation is not None:
            raise ValueError(explanation)
        try:
            return _decode(file, head, largest)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ValueError(
                f"{path} is too large: it has more than {largest / 1e6:.0f} megapixels"
            ) from error
        except Image.UnidentifiedImageError as error:
            raise ValueError(f"{path} is not a picture in {', '.join(FORMATS)}") from error
        except Exception as error:  # a decoder meets damage with any exception whatever
            raise ValueError(f"{path} cannot be read as a picture: {in_short(error)}") from error


@contextlib.contextmanager
def _limited(largest: int) -> Generator[None]:
    """Within it, pillow refuses larger pictures, and warns of nothing else."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, largest
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _decode(file: BinaryIO, head: bytes, largest: int) -> tuple[Samples, Form]:
    if head[:4] not in TIFF_SIGNATURES:
        return _decode_with_pillow(file, head)
    if not is_deep_tiff(file):
        with silenced():
            return _decode_with_pillow(file, head)
    samples, orientation, metadata = read_tiff(file, largest)
    form = Form("TIFF", samples.dtype.name, metadata=metadata)
    return _upright(samples, orientation), form


def _decode_with_pillow(file: BinaryIO, head: bytes) -> tuple[Samples, Form]:
    header = read_header(head)
    with Image.open(file, formats=FORMATS) as image:
        format = "JPEG" if image.format == "MPO" else str(image.format)
        if format != "JPEG" and _holds_several(image):
            raise ValueError("it holds several pictures, expected one: save each of them as a file")
        plain = header is None or header.depth < 16 or header.color == 0
        if plain and not (image.mode.startswith("I;16") and "transparency" in image.info):
            samples = _pixels(image)
        else:
            file.seek(0)
            samples = read_png16(file)
        # after the pixels: pillow turns TIFFs itself, and a PNG may say these things at its end
        orientation, metadata = image.getexif().get(0x0112, 1), metadata_of(image)
        if image.mode == "CMYK":  # its profile is of inks
            metadata = dataclasses.replace(metadata, profile=None)
        form = Form(format, samples.dtype.name, image.mode in ("P", "PA"), metadata)
        return _upright(samples, orientation), form


def _upright(samples: Samples, orientation: int) -> Samples:
    turned = _TURNS[orientation](samples) if orientation in _TURNS else samples
    return turned.copy()  # of positive strides, whatever was turned


def _holds_several(image: Image.Image) -> bool:
    try:
        image.seek(1)
    except EOFError:
        return False
    return True


def _pixels(image: Image.Image) -> Samples:
    """What pillow decodes; a palette or color key is resolved, a bitmap becomes gray."""
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)[:, :, None]
    if image.mode == "CMYK":
        return np.array(_without_inks(image))
    if image.mode not in _MODES:
        raise ValueError(f"its pixels are of pillow's mode {image.mode}, which is not supported")
    mode = _MODES[image.mode]
    if "transparency" in image.info and not mode.endswith("A"):
        mode += "A"
    samples = np.array(image if image.mode == mode else image.convert(mode))
    return samples if samples.ndim == 3 else samples[:, :, None]


def _without_inks(image: Image.Image) -> Image.Image:
    """A CMYK picture as sRGB: by its profile where it has one that is whole, else by formula."""
    profile = image.info.get("icc_profile")
    if not profile:
        return image.convert("RGB")
    try:
        inks = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        screen = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, inks, screen, outputMode="RGB")
    except ImageCms.PyCMSError as error:
        raise ValueError("its CMYK profile is damaged: convert it to RGB first") from error
    return image.convert("RGB") if converted is None else converted


def write_samples(file: BinaryIO, samples: Samples, form: Form) -> None:
    """Encode samples (h, w, c) of the form's dtype.

    Raises:
        ValueError: the format has no room for an alpha channel.
    """
    channels = samples.shape[2]
    if channels in (2, 4) and form.format == "JPEG":
        raise ValueError("a JPEG has no alpha channel; choose PNG, TIFF, BMP or WebP")
    if form.format == "PNG" and form.dtype == "uint16":
        write_png16(file, samples, form.metadata)
    elif form.format == "TIFF" and form.dtype != "uint8":
        write_tiff(file, samples, form.metadata)
    elif form.format == "BMP" and channels in (2, 4):
        _write_bmp_with_alpha(file, samples)
    else:
        _write_with_pillow(file, samples, form)


def _write_with_pillow(file: BinaryIO, samples: Samples, form: Form) -> None:
    image = Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)
    if form.palette:
        alpha = samples.shape[2] in (2, 4)
        image = image.convert("RGBA" if alpha else "RGB").quantize(
            256, Image.Quantize.FASTOCTREE if alpha else Image.Quantize.MEDIANCUT, kmeans=2
        )
    options = dict[str, Any](_OPTIONS.get(form.format, {}))
    metadata, xmp = form.metadata, form.metadata.xmp
    beside = {"exif": metadata.exif, "dpi": metadata.dpi, "xmp": xmp}
    options |= {name: value for name, value in beside.items() if value is not None}
    if form.format == "PNG" and xmp is not None:
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode(errors="replace"))
    if form.format == "TIFF":
        options["exif"] = tiff_tags(metadata)
    image.save(file, form.format, icc_profile=metadata.profile, **options)


def _write_bmp_with_alpha(file: BinaryIO, samples: Samples) -> None:
    """A BITMAPV4HEADER with bit masks: what pillow reads with alpha but does not write."""
    height, width, channels = samples.shape
    color = samples[:, :, :-1] if channels == 4 else samples[:, :, [0, 0, 0]]
    body = np.concatenate((color[::-1, :, ::-1], samples[::-1, :, -1:]), 2).tobytes()
    masks = (0x00FF0000, 0x0000FF00, 0x000000FF, 0xFF000000)
    file.write(struct.pack("<2sIII", b"BM", 122 + len(body), 0, 122))
    file.write(
        struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(body), 2835, 2835, 0, 0)
    )
    file.write(struct.pack("<IIII4s48x", *masks, b"BGRs") + body)
