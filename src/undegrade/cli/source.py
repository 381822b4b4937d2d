"""What is known of a picture's degradation, and who said so."""

import dataclasses
from pathlib import Path

from undegrade.core.image import Image
from undegrade.degradations.degradation import Degradation
from undegrade.degradations.description import read_description
from undegrade.degradations.estimated_blur import with_blur_told_by
from undegrade.degradations.flags import DegradationFlags


@dataclasses.dataclass(frozen=True, kw_only=True)
class DegradationSource:
    """A degradation and its source: the name of a description, or the flags that were given.

    The note tells what of it was found in the picture.
    """

    degradation: Degradation
    source: str
    note: str = ""


def find_known(
    source: Path, y: Image, described: DegradationSource | None, specification: DegradationFlags
) -> DegradationSource:
    """What is known of one picture: an explicit description, else flags, else the file beside it.

    Where nothing is said, the picture is noisy and the level is not known.

    Arguments:
        source: the degraded picture's file.
        y: its pixels.
        described: what holds for all pictures.
        specification: the flags.

    Raises:
        OSError, ValueError: the description beside the picture cannot be read.
        ValueError: the flags do not fit the picture.
    """
    if described is not None:
        return described
    beside = source.with_name(f"{source.name}.json")
    flags = " ".join(specification.words)
    if not flags and beside.exists():
        return read_known(beside)
    specification, note = with_blur_told_by(y, specification)
    degradation = specification.build(specification.image_shape(y.shape))
    said = ", ".join(part for part in (flags, note) if part) or "noise of an unknown level"
    return DegradationSource(degradation=degradation, source=said, note=note)


def read_known(path: Path) -> DegradationSource:
    """The description in a file.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    if not path.exists():
        raise FileNotFoundError(2, f"there is no file {path}")
    return DegradationSource(degradation=read_description(path), source=str(path))
