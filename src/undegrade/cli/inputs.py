"""Which pictures a command is about, and where their results stand."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from undegrade.files.codecs import SUFFIXES

SETTINGS = "settings.json"


@dataclass(frozen=True)
class Source:
    """A picture file.

    Arguments:
        path: of the file.
        place: of its results below the output folder: that of the file below the folder that was
            given, so that results stand as their inputs do.
    """

    path: Path
    place: Path


def find_sources(inputs: Sequence[Path]) -> list[Source]:
    """The pictures among files and folders, sub-folders included; results of other runs are not.

    Raises:
        ValueError: nothing is given, or a folder has no picture.
    """
    if not inputs:
        raise ValueError("restore needs a picture, or a folder of pictures")
    sources = [source for given in inputs for source in _below(given)]
    results = _Results()
    return [s for s in sources if not results.have(s.path)] or sources


def _below(given: Path) -> list[Source]:
    if not given.is_dir():
        return [Source(given, Path())]
    results = _Results()
    found = [
        Source(path, path.relative_to(given).parent)
        for path in sorted(given.rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.is_file() and not results.have(path)
        if not any(part.startswith(".") for part in path.relative_to(given).parts)
    ]
    if not found:
        raise ValueError(f"there is no picture in {given}")
    return found


class _Results:
    """The results that the settings in a picture's folder, or in one above it, list."""

    def __init__(self) -> None:
        self._listed = dict[Path, frozenset[Path]]()

    def have(self, path: Path) -> bool:
        """Whether a run left this picture."""
        path = path.absolute()
        return any(path in self._of(folder) for folder in path.parents)

    def _of(self, folder: Path) -> frozenset[Path]:
        if folder not in self._listed:
            names = [str(entry["output"]) for entry in read_entries(folder / SETTINGS)]
            self._listed[folder] = frozenset(folder / name for name in names)
        return self._listed[folder]


def read_entries(path: Path) -> list[dict[str, object]]:
    """What a file of settings says of each result; nothing where it is no such file."""
    try:
        document = json.loads(path.read_bytes())
        return [dict(entry) for entry in document["pictures"] if str(entry["output"])]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []
