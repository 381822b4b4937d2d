"""How the files of a command are read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro import conf

from undegrade.core.image import Image
from undegrade.files.levels import Levels
from undegrade.files.picture import Picture, read_picture

_MEGAPIXEL = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How pictures are read.

    Arguments:
        white: value of white in the file, such as 1023 where a file of 16 bits holds 10, or a
            number of photons; by default the largest of its type, and 1 in floating point.
        black: value of black in the file, such as that of a sensor's pedestal.
        largest: megapixels of a picture from which on it is refused.

    Raises:
        ValueError: white is not above black; no pixel is allowed.
    """

    white: Annotated[float | None, conf.arg(metavar="VALUE")] = None
    black: Annotated[float, conf.arg(metavar="VALUE")] = 0.0
    largest: Annotated[float, conf.arg(metavar="MEGAPIXELS")] = 89.0

    def __post_init__(self) -> None:
        Levels(black=self.black, white=self.white)
        if not 0 < self.largest < 1e6:
            raise ValueError(f"--largest is a number of megapixels, got {self.largest:g}")

    @property
    def levels(self) -> Levels:
        """Of black and white."""
        return Levels(black=self.black, white=self.white)

    def picture(self, path: Path) -> Picture:
        """The picture of a file.

        Raises:
            OSError, ValueError: it cannot be read.
        """
        return read_picture(path, largest=round(self.largest * _MEGAPIXEL), levels=self.levels)

    def beside(self, path: Path, dtype: str) -> Image:
        """Another file's pixels, by these levels where its samples are of that type.

        Raises:
            OSError, ValueError: it cannot be read.
        """
        most = round(self.largest * _MEGAPIXEL)
        other = read_picture(path, largest=most, levels=self.levels)
        alike = other.form.dtype == dtype
        return other.pixels if alike else read_picture(path, largest=most).pixels
