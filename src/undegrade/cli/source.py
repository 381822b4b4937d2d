"""What is known of a picture's degradation, and who said so."""

import dataclasses
from pathlib import Path

from undegrade.core.image import Image
from undegrade.degradations.degradation import Degradation
from undegrade.degradations.description import read_description
from undegrade.degradations.estimated_blur import with_blur_told_by
from undegrade.degradations.flags import DegradationFlags
from undegrade.kernels.reduction import REDUCTIONS


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
    """What is known of one picture: a description, given or beside it, amended by the flags.

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
    beside = source.with_name(f"{source.name}.json")
    known = read_known(beside) if described is None and beside.exists() else described
    flags = " ".join(specification.words)
    if known is not None and not flags:
        return known
    specification, note = with_blur_told_by(y, specification.for_file(source))
    if known is not None:
        note = "; ".join(part for part in (f"{known.source} is amended by {flags}", note) if part)
        return DegradationSource(
            degradation=specification.amend(known.degradation, y),
            source=f"{known.source} with {flags}",
            note=note,
        )
    degradation = specification.build(specification.image_shape(y.shape), y)
    note = "; ".join(part for part in (note, _assumed(specification)) if part)
    said = ", ".join(part for part in (flags, note) if part) or "noise of an unknown level"
    return DegradationSource(degradation=degradation, source=said, note=note)


def _assumed(flags: DegradationFlags) -> str:
    """What flags leave open of a reduction, and what it is taken for."""
    factor = flags.downsample
    if factor is None:
        return ""
    if flags.blur in REDUCTIONS:
        return f"assumed: reduced by {factor} ({flags.blur}), as editors do"
    if flags.blur is None:
        return (
            f"assumed: one pixel of every {factor}×{factor} was kept, and nothing blurred; a "
            f"picture that an editor or a camera made small wants --enlarge {factor}"
        )
    return ""


def read_known(path: Path) -> DegradationSource:
    """The description in a file.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    if not path.exists():
        raise FileNotFoundError(2, f"there is no file {path}")
    return DegradationSource(degradation=read_description(path), source=str(path))
