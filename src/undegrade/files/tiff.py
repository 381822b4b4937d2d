"""TIFF: what pillow would cut down, drop or turn around, by tifffile."""

import contextlib
import importlib.util
import itertools
import logging
import os
from collections.abc import Generator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from undegrade.files.metadata import Metadata

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_DEPTHS = ("uint8", "uint16", "float16", "float32", "float64")
_READABLE = (1, 8, 32773, 32946)  # none, two names of Deflate, PackBits: all that needs no codecs
_NO_PREDICTOR, _DIFFERENCES = 1, 2
_WHITE_IS_0, _GRAY, _RGB = 0, 1, 2
_PREMULTIPLIED = 1
_WITHOUT_WHITE = (2, 5, 6)  # sample formats: signed and complex numbers
_PAGES = 16  # that are looked at: pictures have a few thumbnails at most
_ORIENTATION, _PROFILE, _XMP, _DNG = 0x0112, 0x8773, 0x02BC, 0xC612
_DESCRIPTION, _X_RESOLUTION, _Y_RESOLUTION, _UNIT = 270, 282, 283, 296


def is_deep_tiff(file: BinaryIO) -> bool:
    """Whether pillow would cut its samples down; leaves the file at its start.

    Raises:
        ValueError: it holds more than one picture, thumbnails aside, or more than gray or RGB with
            an alpha channel; the sentence says what to do.
    """
    import tifffile

    with _quietly(), tifffile.TiffFile(file) as tiff:
        if not tiff.pages:
            raise ValueError("it holds no picture: whatever wrote it did not finish")
        page = tiff.pages.first
        first = itertools.islice(tiff.pages, _PAGES)
        pages = [p for p in first if isinstance(p, tifffile.TiffPage) and not p.is_reduced]
        stacked = int((tiff.imagej_metadata or {}).get("images", 1)) if tiff.is_imagej else 1
        several = max(len(pages), stacked, page.imagedepth)
        _check(page, several)
        gray16 = page.bitspersample == 16 and page.samplesperpixel == 1 and page.sampleformat == 1
        packed = page.compression not in _READABLE  # pillow can unpack it
        deep = page.bitspersample > 8 and not (gray16 and page.photometric == _GRAY and packed)
    file.seek(0)
    return bool(deep)


def _check(page: Any, several: int) -> None:
    if _DNG in page.tags:
        raise ValueError("it is a camera raw file (DNG): develop it first, into a 16-bit TIFF")
    if several > 1:
        raise ValueError(
            "it holds several pictures, expected one: save each of them as a file of its own"
        )
    if page.sampleformat in _WITHOUT_WHITE:
        raise ValueError(_expected(page))
    colors = {_WHITE_IS_0: 1, _GRAY: 1, _RGB: 3}.get(int(page.photometric))
    if colors is not None and page.samplesperpixel > colors + 1:
        raise ValueError(
            f"it has {page.samplesperpixel} bands, expected gray or RGB, with an alpha channel at "
            f"most: save the bands as files of their own"
        )


def read_tiff(file: BinaryIO, most: int) -> tuple[NDArray[Any], int, Metadata]:
    """The samples (h, w, c), the EXIF orientation and what else the file says of a deep TIFF.

    White is the largest value, whatever the file has it be; colors are not multiplied by alpha.

    Raises:
        ValueError: the depth, the color space or the compression is not supported, or there are
            more than `most` pixels; the sentence says what to do.
    """
    import tifffile

    with _quietly(), tifffile.TiffFile(file) as tiff:
        if not tiff.pages:
            raise ValueError("it holds no picture: whatever wrote it did not finish")
        page = tiff.pages.first
        _check_deep(page)
        if page.imagewidth * page.imagelength > most:
            raise ValueError(f"it has more than {most} pixels")
        samples = page.asarray()
        orientation = page.tags.valueof(_ORIENTATION)
        metadata = _metadata(page)
    samples = samples if samples.ndim == 3 else samples[:, :, None]
    if page.planarconfig == 2 and page.samplesperpixel > 1:
        samples = np.moveaxis(samples, 0, 2)
    if page.photometric == _WHITE_IS_0:
        white = np.iinfo(samples.dtype).max if samples.dtype.kind == "u" else 1
        samples = np.concatenate((white - samples[:, :, :1], samples[:, :, 1:]), 2)
    if page.extrasamples and page.extrasamples[0] == _PREMULTIPLIED:
        samples = _divided(samples)
    return samples, int(orientation or 1), metadata


def _check_deep(page: Any) -> None:
    depth = str(page.dtype)
    if depth not in _DEPTHS or page.bitspersample not in (16, 32, 64):
        raise ValueError(_expected(page))
    if page.photometric not in (_WHITE_IS_0, _GRAY, _RGB):
        raise ValueError(
            f"its color space is {page.photometric}, expected gray or RGB: convert it to RGB"
        )
    plain = page.compression in _READABLE and page.predictor in (_NO_PREDICTOR, _DIFFERENCES)
    if not plain and importlib.util.find_spec("imagecodecs") is None:
        raise ValueError(
            f"its compression is {_name(page.compression)} (predictor {page.predictor}), which "
            f"needs pip install 'undegrade[codecs]'; or save it with none or with Deflate"
        )


def _expected(page: Any) -> str:
    return (
        f"its samples are {page.bitspersample}-bit {page.dtype}, expected 8 or 16 bits or floating "
        f"point: save it as 32-bit floating point, black at 0 and white at 1"
    )


def _name(compression: Any) -> str:
    import tifffile

    return {code.value: code.name for code in tifffile.COMPRESSION}.get(compression, "unknown")


def _divided(samples: NDArray[Any]) -> NDArray[Any]:
    """Colors that were multiplied by alpha, as they were before."""
    largest = np.iinfo(samples.dtype).max if samples.dtype.kind == "u" else 1
    alpha = samples[:, :, -1:].astype(np.float64) / largest
    colors = samples[:, :, :-1] / np.where(alpha > 0, alpha, 1)
    if samples.dtype.kind == "u":
        colors = np.minimum(np.round(colors), largest)
    return np.concatenate((colors.astype(samples.dtype), samples[:, :, -1:]), 2)


def _metadata(page: Any) -> Metadata:
    found = {tag: page.tags.valueof(tag) for tag in (_PROFILE, _XMP, _DESCRIPTION, _UNIT)}
    resolution = tuple(page.tags.valueof(tag) for tag in (_X_RESOLUTION, _Y_RESOLUTION))
    known = all(isinstance(r, tuple) and len(r) == 2 and r[1] for r in resolution)
    return Metadata(
        profile=found[_PROFILE] if isinstance(found[_PROFILE], bytes) else None,
        xmp=found[_XMP] if isinstance(found[_XMP], bytes) else None,
        description=found[_DESCRIPTION] if isinstance(found[_DESCRIPTION], str) else None,
        resolution=(resolution[0][0] / resolution[0][1], resolution[1][0] / resolution[1][1])
        if known
        else None,
        unit=int(found[_UNIT] or 2),
    )


@contextlib.contextmanager
def silenced() -> Generator[None]:
    """Within it, nothing reaches the standard error: libtiff in pillow writes its complaints there.

    That is below Python, so nothing less will do.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a process without standard error
            kept = os.dup(2)
            stack.callback(os.close, kept)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            stack.callback(os.close, nowhere)
            os.dup2(nowhere, 2)
            stack.callback(os.dup2, kept, 2)
        yield


@contextlib.contextmanager
def _quietly() -> Generator[None]:
    """Tifffile logs what it finds wrong; what matters becomes an exception of ours."""
    logger = logging.getLogger("tifffile")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def write_tiff(file: BinaryIO, samples: NDArray[Any], metadata: Metadata) -> None:
    """Write samples (h, w, c), c from 1 to 4, uncompressed."""
    import tifffile

    channels = samples.shape[2]
    description, xmp = metadata.description, metadata.xmp
    tifffile.imwrite(
        file,
        samples[:, :, 0] if channels == 1 else samples,
        photometric="minisblack" if channels < 3 else "rgb",
        planarconfig=None if channels == 1 else "contig",
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        iccprofile=metadata.profile,
        resolution=metadata.resolution,
        resolutionunit=None if metadata.resolution is None else metadata.unit,
        description=None if description is None else description.encode("utf-8", "replace"),
        extratags=[] if xmp is None else [(_XMP, "B", len(xmp), xmp, True)],
        metadata=None,
    )
