"""Image file ↔ image."""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from undegrade.core.image import Image, require_tensor
from undegrade.files.atomic import replacing
from undegrade.files.codecs import (
    LARGEST,
    SUFFIXES,
    Form,
    Samples,
    format_of,
    read_samples,
    write_samples,
)
from undegrade.files.levels import AS_TYPED, Levels


@dataclasses.dataclass(frozen=True)
class Picture:
    """An image together with what its file says beside the colors.

    Arguments:
        pixels: gray or color, shape (1, 1 | 3, h, w), nominal range [0, 1].
        alpha: kept aside, so that no method mixes it with the colors; shape (1, 1, h, w).
        form: how it was stored, and so how its restoration is.
    """

    pixels: Image
    alpha: Float[Tensor, "1 1 height width"] | None
    form: Form

    def with_pixels(self, x: Image) -> "Picture":
        """Another image in this picture's form; alpha follows it in size."""
        alpha = None if self.alpha is None else _resized(self.alpha, x.shape[2], x.shape[3])
        return dataclasses.replace(self, pixels=x, alpha=alpha)


def _resized(alpha: Tensor, height: int, width: int) -> Tensor:
    """Enlarged or reduced by a whole factor, else cut or continued equally at opposite borders."""
    h, w = alpha.shape[2:]
    if (height % h == 0 and width % w == 0) or (h % height == 0 and w % width == 0):
        size = (height, width)
        return functional.interpolate(alpha, size, mode="bilinear", antialias=True).clamp(0, 1)
    down, right = height - h, width - w
    pad = (right // 2, right - right // 2, down // 2, down - down // 2)
    cut = functional.pad(alpha, tuple(min(p, 0) for p in pad))
    return functional.pad(cut, tuple(max(p, 0) for p in pad), mode="replicate")


def read_picture(
    path: str | Path, *, largest: int = LARGEST, levels: Levels | None = None
) -> Picture:
    """Read a PNG, JPEG, TIFF, BMP or WebP, upright as its EXIF orientation says.

    Integer samples of n bits are divided by 2ⁿ − 1, floating point is taken as it is, unless
    `levels` say which values are black and white.

    Arguments:
        path: of the file.
        largest: the most pixels that are read; a larger picture is refused.
        levels: the sample values of black and white.

    Raises:
        OSError: there is no such file, or it cannot be opened.
        ValueError: it is no picture, damaged, too large, or has samples that are not finite.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(2, f"there is no file {path}")
    samples, form = read_samples(path, largest)
    form = form if levels is None else dataclasses.replace(form, levels=levels)
    values = torch.from_numpy(samples).permute(2, 0, 1)[None].contiguous()
    count = values.shape[1] - 1 + values.shape[1] % 2
    colors = form.levels.decoded(values[:, :count], samples.dtype)
    if not bool(torch.isfinite(colors).all()):
        raise ValueError(f"{path} has pixels that are not finite (NaN or infinite)")
    alpha = values[:, count:] if count < values.shape[1] else None
    return Picture(colors, None if alpha is None else AS_TYPED.decoded(alpha, samples.dtype), form)


def write_picture(path: str | Path, picture: Picture) -> None:
    """Write a picture in its own form, or the nearest one that the suffix of the path allows.

    Integer forms clip to what they hold and round; floating point is written as it is. The file
    appears whole or not at all.

    Raises:
        OSError: the file cannot be written.
        ValueError: the suffix is unknown, the format has no alpha, or the pixels are not finite.
    """
    path, pixels = Path(path), picture.pixels
    form = picture.form.suited_to(path)
    if len(pixels) != 1 or pixels.shape[1] not in (1, 3):
        raise ValueError(f"expected one image of 1 or 3 channels, got {tuple(pixels.shape)}")
    if not bool(torch.isfinite(pixels).all()):
        raise ValueError(f"{path} is not written: the image has NaN or infinite pixels")
    dtype = np.dtype(form.dtype)
    samples = form.levels.encoded(pixels.detach().cpu(), dtype)
    if picture.alpha is not None:
        alpha = AS_TYPED.encoded(picture.alpha.detach().cpu(), dtype)
        samples = torch.cat((samples, alpha), 1)
    with replacing(path) as file:
        write_samples(file, _as_samples(samples, dtype), form)


def _as_samples(values: Tensor, dtype: np.dtype) -> Samples:
    return np.ascontiguousarray(values[0].permute(1, 2, 0).numpy().astype(dtype))


def read_image(path: str | Path) -> Image:
    """The colors of a picture file, shape (1, 1 | 3, h, w), nominal range [0, 1]; no alpha.

    Raises:
        OSError: there is no such file, or it cannot be opened.
        ValueError: it is no picture, damaged, too large, or has samples that are not finite.
    """
    return read_picture(path).pixels


def write_image(path: str | Path, x: Image, *, dtype: str = "uint8") -> None:
    """Write one image of 1 or 3 channels in the format that the suffix names.

    Arguments:
        path: ends in .png, .jpg, .tif, .bmp or .webp.
        x: shape (1, 1 | 3, h, w); values outside [0, 1] are clipped in integer forms.
        dtype: uint8; uint16 for PNG and TIFF; float16, float32 or float64 for TIFF.

    Raises:
        OSError: the file cannot be written.
        ValueError: the suffix is unknown, x is no such tensor, or the pixels are not finite.
    """
    require_tensor(x, "an image to be written")
    write_picture(path, Picture(x, None, Form(format_of(Path(path)), dtype)))


def pictures_below(folder: str | Path) -> list[Path]:
    """The picture files of a folder and all folders in it by their suffix, sorted by path."""
    return sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)


def list_pictures(folder: str | Path) -> list[Path]:
    """The picture files of a folder by their suffix, sorted by name; sub-folders are not entered.

    Raises:
        ValueError: there is none.
    """
    found = sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in SUFFIXES)
    if not found:
        raise ValueError(f"there is no picture in {folder}")
    return found
