"""What a run leaves beside its pictures: the trace as CSV, the settings as JSON."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from undegrade.core.solver import Record
from undegrade.files.atomic import replacing


def write_rows(
    path: str | Path, rows: Sequence[Mapping[str, object]], first: Sequence[str] = ()
) -> None:
    """Write a table as CSV: the columns `first`, then the keys of all rows as they appear.

    Raises:
        OSError: the file cannot be written.
    """
    columns = list(dict.fromkeys([*first, *(key for row in rows for key in row)]))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with replacing(path) as file:
        file.write(text.getvalue().encode(errors="backslashreplace"))


def append_row(path: str | Path, row: Mapping[str, object]) -> None:
    """Write a table again with one row more; columns that it lacks are added.

    Raises:
        OSError: the file cannot be read or written.
    """
    write_rows(path, [*(read_rows(path) if Path(path).exists() else []), row])


def read_rows(path: str | Path) -> list[dict[str, str]]:
    """The rows of a CSV file by column.

    Raises:
        OSError: the file cannot be opened.
    """
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_columns(path: str | Path) -> list[tuple[float, ...]]:
    """The columns of a text file of numbers, by commas or spaces; a line without any is a heading.

    Raises:
        OSError: the file cannot be opened.
        ValueError: a line of another length, or with a word that is no number.
    """
    rows = list[list[float]]()
    for line in Path(path).read_text("utf-8", errors="replace").splitlines():
        words = line.partition("#")[0].replace(",", " ").replace(";", " ").split()
        try:
            numbers = [float(word) for word in words]
        except ValueError as error:
            if not rows:
                continue
            raise ValueError(f"expected numbers in {path}, got {line.strip()[:60]!r}") from error
        if numbers:
            rows.append(numbers)
    if len({len(row) for row in rows}) != 1:
        raise ValueError(f"expected lines with as many numbers each in {path}")
    return list(zip(*rows, strict=True))


def write_trace(path: str | Path, trace: Sequence[Record], sample: int = 0) -> None:
    """Write one sample's trace as CSV: iteration, seconds, and everything that was observed.

    Raises:
        OSError: the file cannot be written.
    """
    rows = [
        {
            "iteration": record.iteration,
            "seconds": f"{record.seconds:.6f}",
            **{name: f"{value[sample].item():.9g}" for name, value in record.values.items()},
        }
        for record in trace
    ]
    write_rows(path, rows, first=("iteration", "seconds", "residual"))


def write_settings(path: str | Path, settings: Mapping[str, object]) -> None:
    """Write settings as JSON; what JSON does not know (paths, ∞, NaN) becomes text.

    Raises:
        OSError: the file cannot be written.
    """
    text = json.dumps(_finite(settings), ensure_ascii=False, indent=1, default=str, allow_nan=False)
    with replacing(path) as file:
        file.write(text.encode(errors="backslashreplace") + b"\n")


def _finite(value: Any) -> Any:
    """The same, with numbers that are not finite as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value
