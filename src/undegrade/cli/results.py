"""A folder of results: what earlier runs left there, and what a run adds."""

import importlib.metadata
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final, overload

import numpy as np
import torch

from undegrade.cli.inputs import SETTINGS, Source, read_entries
from undegrade.cli.reading import Reading
from undegrade.cli.source import DegradationSource
from undegrade.core.image import Image
from undegrade.core.likelihood import Likelihood
from undegrade.core.solver import Record
from undegrade.core.stopping import Status
from undegrade.degradations.description import degradation_from, description_of
from undegrade.evaluation.restoration import Restoration, Score
from undegrade.evaluation.section import Section, noise_in_words
from undegrade.files.arrays import read_arrays
from undegrade.files.atomic import appearing_in
from undegrade.files.codecs import SUFFIXES
from undegrade.files.picture import Picture, write_picture
from undegrade.files.tables import read_rows, write_settings, write_trace

Entry = Mapping[str, Any]
_ANY_SIZE = 1e5  # megapixels: it was read before


@dataclass(frozen=True, kw_only=True)
class Done:
    """One picture with all that was found out about it.

    Arguments:
        source: its file.
        picture: its content.
        known: its degradation.
        likelihood: its noise, its level given or estimated; None where a JPEG hides it.
        reference: the file that has the truth.
        settings: of the method.
        restoration: by this method.
        reason: why this method was taken, where the program chose it.
        notes: what else to say, such as the level of noise that was found.
        along: iteration and file name of each picture that was kept on the way.
    """

    source: Source
    picture: Picture
    known: DegradationSource
    likelihood: Likelihood | None
    reference: Path | None
    settings: Mapping[str, object]
    restoration: Restoration
    reason: str = ""
    notes: tuple[str, ...] = ()
    along: tuple[tuple[int, str], ...] = ()


def result_name(source: Path, method: str) -> str:
    """The name of a result: y-learned.png for y.png."""
    return f"{source.stem}-{re.sub(r'[^A-Za-z0-9.,=+_-]', '_', method)}{source.suffix}"


@final
class Results:
    """Pictures, their traces and one file of settings, to which every run adds.

    A result replaces that of an earlier run which has the same name.

    Arguments:
        folder: where they are.
        run: what the settings say of the run that adds to it.

    Raises:
        ValueError: the folder has settings of another kind, or would have the name of a picture.
    """

    def __init__(self, folder: Path, run: Entry) -> None:
        if folder.suffix.lower() in SUFFIXES and not folder.is_dir():
            raise ValueError(
                f"expected a folder for --output, in which NAME-METHOD{folder.suffix} is written, "
                f"got {folder}, the name of a picture"
            )
        self.folder, self._run = folder, run
        self._entries: dict[str, Entry] = {
            str(entry["output"]): entry for entry in read_entries(folder / SETTINGS)
        }
        if not self._entries and (folder / SETTINGS).exists():
            raise ValueError(
                f"{folder / SETTINGS} is not of `undegrade restore`: give another --output"
            )

    def add(self, done: Done) -> Path:
        """Write a picture, its trace and the settings so far, all or none of them.

        Raises:
            OSError: something cannot be written.
            ValueError: the picture cannot be stored as its input was.
        """
        place, name = done.source.place, result_name(done.source.path, done.restoration.method)
        output = (place / name).as_posix()
        entries = self._entries | {output: self._entry(done, output)}
        with appearing_in(self.folder / place) as temporary:
            write_picture(temporary / name, done.picture.with_pixels(done.restoration.x))
            for part, x in done.restoration.parts.items():
                file = self._part(done.source.path, done.restoration.method, part)
                write_picture(temporary / file, done.picture.with_pixels(x.clamp(0, 1)))
            write_trace(temporary / f"{name}.csv", done.restoration.trace)
            if done.restoration.kernel is not None:
                np.save(
                    temporary / f"{name}.kernel.npy", done.restoration.kernel.squeeze(0).numpy()
                )
            write_settings(
                self.folder / SETTINGS if place != Path() else temporary / SETTINGS,
                {
                    "undegrade": importlib.metadata.version("undegrade"),
                    **self._run,
                    "pictures": list(entries.values()),
                },
            )
        self._entries = entries
        return self.folder / output

    def _part(self, source: Path, method: str, part: str) -> str:
        """The name of what a method found beside the picture: y-METHOD-removed.png."""
        return result_name(source, f"{method}-{part}")

    def _entry(self, done: Done, output: str) -> Entry:
        """What the settings say of one result; paths are seen from the folder."""
        r, reference = done.restoration, done.reference
        degradation = replace(done.known.degradation, likelihood=done.likelihood)
        return {
            "input": self._seen(done.source.path),
            "output": output,
            "trace": f"{output}.csv",
            "kernel": None if r.kernel is None else f"{output}.kernel.npy",
            "reference": None if reference is None else self._seen(reference),
            "known": done.known.source,
            "samples": {
                "type": done.picture.form.dtype,
                "black": done.picture.form.levels.black,
                "white": done.picture.form.levels.white,
            },
            "noise": "" if done.likelihood is None else noise_in_words(done.likelihood),
            "notes": list(done.notes),
            "method": r.method,
            "parts": {
                part: (done.source.place / self._part(done.source.path, r.method, part)).as_posix()
                for part in r.parts
            },
            "along": {str(k): (done.source.place / name).as_posix() for k, name in done.along},
            "settings": dict(done.settings),
            "chosen": dict(r.chosen),
            "status": r.status.name.lower(),
            "iterations": r.iterations,
            "seconds": round(r.seconds, 4),
            "psnr": r.score.psnr,
            "ssim": r.score.ssim,
            "command": r.command,
            "degradation": description_of(degradation),
        }

    def _seen(self, path: Path) -> str:
        return Path(os.path.relpath(path.absolute(), self.folder.absolute())).as_posix()

    def sections(self) -> Sequence[Section]:
        """The page's sections: one for each picture, with the results of all runs."""
        groups = dict[str, list[Entry]]()
        for entry in self._entries.values():
            if all((self.folder / entry[key]).exists() for key in ("input", "output")):
                groups.setdefault(entry["input"], []).append(entry)
        return _Sections(self.folder, list(groups.values()))


@final
class _Sections(Sequence[Section]):
    """Sections that are read from their files one at a time."""

    def __init__(self, folder: Path, groups: Sequence[Sequence[Entry]]) -> None:
        self._folder, self._groups = folder, groups

    def __len__(self) -> int:
        return len(self._groups)

    @overload
    def __getitem__(self, index: int) -> Section: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Section]: ...
    def __getitem__(self, index: int | slice) -> Section | Sequence[Section]:
        if isinstance(index, slice):
            return _Sections(self._folder, self._groups[index])
        return self._section(self._groups[index])

    def _section(self, entries: Sequence[Entry]) -> Section:
        first = entries[0]
        blur = degradation_from(first["degradation"]).blur
        known = dict.fromkeys(
            f"Known: {e['known']}; {e['noise']}".removesuffix("; ") for e in entries
        )
        known |= dict.fromkeys(n[:1].upper() + n[1:] for e in entries for n in e.get("notes", []))
        references = [
            e["reference"]
            for e in entries
            if e["reference"] and (self._folder / e["reference"]).exists()
        ]
        return Section(
            title=Path(first["input"]).name,
            known=". ".join(known),
            y=self._pixels(first["input"], first),
            restorations=tuple(self._restoration(entry) for entry in entries),
            truth=self._pixels(references[0], first) if references else None,
            kernel=None if blur is None else blur.psf,
        )

    def _pixels(self, file: str, entry: Entry) -> Image:
        """A file by the levels that the run of an entry took."""
        said = entry.get("samples", {"type": "", "black": 0.0, "white": None})
        reading = Reading(black=said["black"], white=said["white"], largest=_ANY_SIZE)
        return reading.beside(self._folder / file, said["type"])

    def _kernel(self, name: str | None) -> torch.Tensor | None:
        path = self._folder / (name or "")
        if name is None or not path.exists():
            return None
        return torch.from_numpy(read_arrays(path)[0].astype(np.float32))

    def _restoration(self, entry: Entry) -> Restoration:
        return Restoration(
            method=entry["method"],
            x=self._pixels(entry["output"], entry),
            status=Status[entry["status"].upper()],
            iterations=entry["iterations"],
            seconds=entry["seconds"],
            score=Score(psnr=entry["psnr"], ssim=entry["ssim"]),
            trace=tuple(_records(self._folder / entry["trace"])),
            chosen=entry["chosen"],
            command=entry["command"],
            file=entry["output"],
            kernel=self._kernel(entry.get("kernel")),
            parts=self._pictures("parts", entry),
            along={int(k): x for k, x in self._pictures("along", entry).items()},
        )

    def _pictures(self, kind: str, entry: Entry) -> dict[str, Image]:
        """Pictures by name, of the files that are still there."""
        files: Mapping[str, str] = entry.get(kind, {})
        there = {name: file for name, file in files.items() if (self._folder / file).exists()}
        return {name: self._pixels(file, entry) for name, file in there.items()}


def _records(path: Path) -> Iterator[Record]:
    for row in read_rows(path) if path.exists() else []:
        iteration, seconds = int(row.pop("iteration")), float(row.pop("seconds"))
        values = {name: torch.tensor([float(v)]) for name, v in row.items() if v}
        yield Record(iteration, seconds, values)
