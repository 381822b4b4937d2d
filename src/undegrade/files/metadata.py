"""What a picture file says beside its pixels, and what of it still holds of a restoration."""

from dataclasses import dataclass, field
from typing import Any

from PIL import Image

_INCH, _CENTIMETER = 2, 3
_ORIENTATION, _XMP = 0x0112, 700
_FOLDERS = (0x8769, 0x8825)  # of the exposure, and of the place
# how the pixels of a TIFF are laid out, its profile and its XMP: the writer says these anew
_LAYOUT = (
    254, 255, 256, 257, 258, 259, 262, 266, 269, 273, 277, 278, 279, 280, 281, 284, 317, 320, 322,
    323, 324, 325, 330, 338, 339, 347, 529, 530, 531, 532, 700, 34675,
)  # fmt: skip
_LONGEST_EXIF = 65_000  # bytes: a JPEG has no room for more


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """It goes from a picture to its restoration, whatever the format, as far as that has room.

    Arguments:
        profile: the ICC color profile.
        exif: the block as a JPEG holds it, without orientation: pixels are upright here.
        xmp: the packet.
        resolution: pixels per unit, (horizontally, vertically).
        unit: 1 for none, 2 for inches, 3 for centimeters, as in TIFF.
        description: of a TIFF; ImageJ and OME write the size of a pixel there.
    """

    profile: bytes | None = field(default=None, repr=False)
    exif: bytes | None = field(default=None, repr=False)
    xmp: bytes | None = field(default=None, repr=False)
    resolution: tuple[float, float] | None = None
    unit: int = _INCH
    description: str | None = field(default=None, repr=False)

    @property
    def dpi(self) -> tuple[float, float] | None:
        """Pixels per inch; None where they are not known."""
        if self.resolution is None or self.unit not in (_INCH, _CENTIMETER):
            return None
        scale = 2.54 if self.unit == _CENTIMETER else 1.0
        return self.resolution[0] * scale, self.resolution[1] * scale


NO_METADATA = Metadata()


def metadata_of(image: Image.Image) -> Metadata:
    """What pillow found in an open picture. What is damaged of it is left out."""
    info = image.info
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp")
    dpi = info.get("dpi")
    profile = info.get("icc_profile")
    return Metadata(
        profile=profile if isinstance(profile, bytes) else None,
        exif=_exif(image),
        xmp=xmp.encode() if isinstance(xmp, str) else xmp if isinstance(xmp, bytes) else None,
        resolution=_positive(dpi),
    )


def tiff_tags(metadata: Metadata) -> Image.Exif:
    """EXIF and XMP as a TIFF holds them."""
    tags = Image.Exif()
    if metadata.exif is not None:
        tags.load(metadata.exif)
    if metadata.xmp is not None:
        tags[_XMP] = metadata.xmp
    return tags


def _exif(image: Image.Image) -> bytes | None:
    try:
        exif, kept = image.getexif(), Image.Exif()
        for tag in exif.keys() - {_ORIENTATION, *_LAYOUT}:
            kept[tag] = dict(exif.get_ifd(tag)) if tag in _FOLDERS else exif[tag]
        block = kept.tobytes() if len(kept) else b""
    except Exception:  # pillow meets a damaged block with any exception whatever
        return None
    return block if 0 < len(block) <= _LONGEST_EXIF else None


def _positive(dpi: Any) -> tuple[float, float] | None:
    try:
        x, y = (float(value) for value in dpi)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return (x, y) if 0 < x < 1e6 and 0 < y < 1e6 else None
