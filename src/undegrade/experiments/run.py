"""Runs the pieces of an experiment that are not done yet, and keeps what each one found."""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from undegrade.evaluation.benchmark import as_markdown
from undegrade.experiments.experiment import Experiment, Outcome, Piece, Row
from undegrade.experiments.page import write_page
from undegrade.files.atomic import appearing_in, replacing
from undegrade.files.picture import read_image, write_image
from undegrade.files.tables import write_rows, write_settings

_OUTCOME = "outcome.json"
_PLAN = "plan.json"


def run_experiment(
    name: str,
    experiment: Experiment,
    folder: Path,
    images: Path | None,
    minutes: float,
    watch: Callable[[int, int, str], None],
) -> tuple[int, int]:
    """Run pieces until all are done or the budget is spent; returns how many are done, of how many.

    After each piece everything found so far is in the folder: TABLE.csv, TABLE.md, report.html.

    Arguments:
        name: of the experiment, in titles.
        experiment: what is run.
        folder: of what was found; pieces that are there are not run again.
        images: folder of the pictures that the experiment is about.
        minutes: the budget. It decides the sizes of the pieces, and ends this call.
        watch: is told how many pieces are done, of how many, and the name of the next one.

    Raises:
        OSError: a picture cannot be read, or something not be written.
        ValueError: the folder belongs to another experiment or budget, or a picture is missing.
    """
    pieces = experiment.pieces(images, minutes)
    _claim(folder, {"experiment": name, "minutes": minutes})
    began, found = time.monotonic(), dict[str, tuple[Piece, Outcome]]()
    for piece in pieces:
        place = folder / "pieces" / slug(f"{piece.table} {piece.name}")
        if not (place / _OUTCOME).exists():
            if time.monotonic() - began > 60 * minutes:
                break
            watch(len(found), len(pieces), piece.name)
            _keep(place, piece.run(place / "checkpoint.pt"))
        found[place.name] = piece, _kept(place)
        _write(name, experiment, folder, list(found.values()))
    return len(found), len(pieces)


def slug(name: str) -> str:
    """A name as a file's: letters, digits and dots stay."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-").lower()


def _claim(folder: Path, plan: Mapping[str, Any]) -> None:
    """Write the plan into a new folder; refuse one that has another."""
    path = folder / _PLAN
    if path.exists():
        there: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if there != plan:
            raise ValueError(
                f"{folder} holds {there.get('experiment')} with --budget {there.get('minutes'):g}:"
                " go on with that, or give another --output"
            )
    folder.mkdir(parents=True, exist_ok=True)
    write_settings(path, plan)


def _keep(place: Path, outcome: Outcome) -> None:
    """Write an outcome, all or nothing of it."""
    with appearing_in(place) as temporary:
        for number, x in enumerate(outcome.pictures.values()):
            write_image(temporary / f"{number}.png", x.clamp(0, 1))
        content = {
            "row": outcome.row,
            "curves": outcome.curves,
            "pictures": list(outcome.pictures),
        }
        write_settings(temporary / _OUTCOME, content)
    (place / "checkpoint.pt").unlink(missing_ok=True)


def _kept(place: Path) -> Outcome:
    content: dict[str, Any] = json.loads((place / _OUTCOME).read_text("utf-8"))
    return Outcome(
        row=content["row"],
        curves={
            title: [(int(i), float(v)) for i, v in curve]
            for title, curve in content["curves"].items()
        },
        pictures={
            caption: read_image(place / f"{number}.png")
            for number, caption in enumerate(content["pictures"])
        },
    )


def _write(
    name: str, experiment: Experiment, folder: Path, found: Sequence[tuple[Piece, Outcome]]
) -> None:
    tables = dict[str, list[Row]]()
    for piece, outcome in found:
        tables.setdefault(piece.table, []).append(outcome.row)
    for table, rows in tables.items():
        write_rows(folder / f"{slug(table)}.csv", rows)
        with replacing(folder / f"{slug(table)}.md") as file:
            file.write(as_markdown(_filled(rows)).encode())
    write_page(folder / "report.html", name, found, experiment.findings(tables))


def _filled(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Rows that all have the columns of each; what a row lacks is empty."""
    columns = dict.fromkeys(column for row in rows for column in row)
    return [{column: row.get(column, "") for column in columns} for row in rows]
