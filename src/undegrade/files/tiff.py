"""TIFF with more than 8 bits a sample, or floating point."""

from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_DEPTHS = ("uint16", "float16", "float32", "float64")
_READABLE = (1, 8, 32773, 32946)  # none, two names of Deflate, PackBits: all that needs no codecs
_GRAY, _RGB = 1, 2
_LARGEST = 89_478_485  # pixels; pillow's limit, which tifffile does not know of


def is_deep_tiff(file: BinaryIO) -> bool:
    """Whether it has samples that pillow would cut down; leaves the file at its start.

    Raises:
        ValueError: it holds more than one picture, thumbnails aside.
    """
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages.first
        gray16 = page.bitspersample == 16 and page.samplesperpixel == 1
        deep = page.bitspersample > 8 and not (gray16 and page.sampleformat == 1)
        pages = [p for p in tiff.pages if isinstance(p, tifffile.TiffPage) and not p.is_reduced]
    file.seek(0)
    if len(pages) > 1:
        raise ValueError("it holds several pictures, expected one")
    return bool(deep)


def read_tiff(file: BinaryIO) -> tuple[NDArray[Any], int, bytes | None]:
    """The samples (h, w, c), EXIF orientation and ICC profile of a deep TIFF.

    Raises:
        ValueError: the depth, the color space or the compression is not supported.
    """
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages.first
        depth = str(page.dtype)
        if depth not in _DEPTHS or page.bitspersample not in (16, 32, 64):
            raise ValueError(
                f"its samples are {page.bitspersample}-bit {depth}, expected 8 or 16 "
                "bits or floating point"
            )
        if page.photometric not in (_GRAY, _RGB):
            raise ValueError(f"its color space is {page.photometric}, expected gray or RGB")
        if page.compression not in _READABLE:
            raise ValueError(
                f"its compression is {page.compression}, expected none, Deflate or "
                "PackBits for more than 8 bits"
            )
        if page.imagewidth * page.imagelength > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST} pixels")
        samples = page.asarray()
        orientation, profile = (page.tags.valueof(tag) for tag in (0x0112, 0x8773))
    samples = samples if samples.ndim == 3 else samples[:, :, None]
    if page.planarconfig == 2:
        samples = np.moveaxis(samples, 0, 2)
    color = 1 if page.photometric == _GRAY else 3
    samples = samples[:, :, : color + min(1, len(page.extrasamples))]
    return samples, int(orientation or 1), profile


def write_tiff(file: BinaryIO, samples: NDArray[Any], profile: bytes | None = None) -> None:
    """Write samples (h, w, c), c from 1 to 4, uncompressed."""
    import tifffile

    channels = samples.shape[2]
    tifffile.imwrite(
        file,
        samples[:, :, 0] if channels == 1 else samples,
        photometric="minisblack" if channels < 3 else "rgb",
        planarconfig=None if channels == 1 else "contig",
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        iccprofile=profile,
        metadata=None,
    )
