"""What `undegrade reproduce` runs: pieces of published experiments, each a row of a table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from undegrade.core.image import Image

Row = Mapping[str, str]  # column → what stands in it


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one piece found.

    Arguments:
        row: of the piece's table; its first column is the piece's name.
        curves: by the title of the chart that each belongs to: (iteration ≥ 1, value).
        pictures: by their captions, one image each.
    """

    row: Row
    curves: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    pictures: Mapping[str, Image] = field(default_factory=dict[str, Image], repr=False)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """The part of an experiment that is done or not done.

    Arguments:
        table: that its row belongs to, such as "Figure 5".
        name: of the row, unique within the table.
        run: gives the outcome, the same whenever it is called. Its argument is a path that belongs
            to the piece alone, for a checkpoint to go on from after an interruption.
    """

    table: str
    name: str
    run: Callable[[Path], Outcome]


@runtime_checkable
class Experiment(Protocol):
    """A published experiment, as pieces whose sizes follow from a budget.

    `pieces` depends on its arguments alone, so that the same command goes on where it stopped.
    `findings` says in sentences what the rows so far show, by table.
    """

    def pieces(self, images: Path | None, minutes: float) -> Sequence[Piece]: ...
    def findings(self, rows: Mapping[str, Sequence[Row]]) -> Sequence[str]: ...


def picture_path(images: Path | None, name: str) -> Path:
    """The file of a picture that an experiment is about, in the folder that was given.

    Raises:
        ValueError: no folder was given, or it has no such picture.
    """
    if images is None:
        raise ValueError(f"the experiment is about pictures: give --images, a folder with {name}")
    found = sorted(p for p in images.glob(f"{name}.*") if p.suffix.lower() != ".json")
    if not found:
        raise ValueError(f"the folder {images} has no picture {name}.png")
    return found[0]
