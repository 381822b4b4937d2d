"""Rows of figures: printed while they come, kept as CSV and Markdown in benchmarks/results."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch

import undegrade as ud
from undegrade.files.codecs import SUFFIXES
from undegrade.files.tables import append_row, read_rows, write_rows

DATA = Path(__file__).parents[2] / "shared" / "data"
RESULTS = Path(__file__).parent / "results"
Row = Mapping[str, object]


def write(name: str, command: str, rows: Sequence[Row]) -> None:
    """Replace results/NAME.csv and results/NAME.md, and print the table."""
    RESULTS.mkdir(exist_ok=True)
    columns = list(rows[0])
    write_rows(RESULTS / f"{name}.csv", rows)
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(row[c]) for c in columns) + " |" for row in rows]
    text = "\n".join([f"`{command}`", "", *lines, ""])
    (RESULTS / f"{name}.md").write_text(text)
    print(text, flush=True)


def kept(name: str, key: Mapping[str, str], compute: Callable[[], Row]) -> dict[str, str]:
    """The row of results/NAME.csv with this key; computed, added and printed if it is missing.

    So a run that was interrupted goes on, and deleting the file starts anew.
    """
    path = RESULTS / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    known = read_rows(path) if path.exists() else []
    found = next((row for row in known if key.items() <= row.items()), None)
    if found is None:
        found = {column: str(value) for column, value in {**key, **compute()}.items()}
        append_row(path, found)
        print(found, flush=True)
    return found


class Known:
    """Values of earlier runs by what they are of, in a file of `runs` that lines are added to.

    So a run that was interrupted goes on, and several may share the work. Unlike rows that are
    `kept`, these are of one machine and are not committed.
    """

    def __init__(self, name: str) -> None:
        self.path = path = Path("runs") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        self.values = {key: json.loads(value) for key, value in (x.split("\t") for x in lines)}

    def of(self, key: str, compute: Callable[[], dict[str, float]]) -> dict[str, float]:
        """The values of this key, computed if they are not known."""
        if key not in self.values:
            self.values[key] = compute()
            with self.path.open("a") as file:
                file.write(f"{key}\t{json.dumps(self.values[key])}\n")
        return self.values[key]


def version(files: Iterable[Path]) -> str:
    """Names weights by what is in their files."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def mean(values: Sequence[float], digits: int = 2) -> float:
    return round(sum(values) / len(values), digits)


def pictures(folder: str | Path, every: int = 1) -> list[tuple[int, Path]]:
    """Numbered pictures of a folder, by its name in `DATA` or its path, every n-th of them.

    Raises:
        FileNotFoundError: the folder is not there.
    """
    paths = sorted(p for p in (DATA / folder).iterdir() if p.suffix.lower() in SUFFIXES)
    return list(enumerate(paths))[::every]


def score(x: torch.Tensor, truth: torch.Tensor) -> float:
    return float(ud.psnr(x, truth))
