"""Images × degradations × methods: one row each, and a table of means."""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from undegrade.core.measurement import Measurement, Restorer
from undegrade.degradations.flags import DegradationFlags
from undegrade.evaluation.restoration import evaluate, score
from undegrade.files.picture import read_image
from undegrade.files.tables import read_rows, write_rows

Row = Mapping[str, str]
_KEY = ("image", "degradation", "method", "bits", "seed")
_SCORES = ("psnr", "ssim", "gain", "iterations", "seconds")


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What is compared on what.

    Arguments:
        images: picture files.
        degradations: by the name that the table shows.
        methods: by the name that the table shows.
        seed: decides, with an image's name, its noise, mask and kernel.
        eight_bit: round and clip the degraded image to 8 bits, as a file does; else float noise.
    """

    images: Sequence[Path]
    degradations: Mapping[str, DegradationFlags]
    methods: Mapping[str, Restorer]
    seed: int = 0
    eight_bit: bool = False

    def __len__(self) -> int:
        return len(self.images) * len(self.degradations) * len(self.methods)

    def cells(self) -> Iterator[tuple[str, str, str, str, str]]:
        """What identifies each row, in the order of the table."""
        bits = "8" if self.eight_bit else "float"
        for degradation in self.degradations:
            for method in self.methods:
                for image in self.images:
                    yield image.name, degradation, method, bits, str(self.seed)


def run_benchmark(
    benchmark: Benchmark, path: str | Path, watch: Callable[[str], None] = lambda _: None
) -> list[Row]:
    """Compute the rows that the CSV file does not have yet; it is whole after each of them.

    Arguments:
        benchmark: what is compared.
        path: the CSV file; an interrupted run goes on where it stopped.
        watch: is told what comes next.

    Raises:
        OSError: a picture cannot be read, or the file not be written.
        ValueError: a picture and a degradation do not fit, or the file is no such table.
    """
    path = Path(path)
    rows = read_rows(path) if path.exists() else []
    if any(not set(_KEY) <= set(row) for row in rows):
        raise ValueError(f"{path} is not a benchmark's table, it lacks one of {', '.join(_KEY)}")
    done = {tuple(row[k] for k in _KEY): row for row in rows}
    files = {image.name: image for image in benchmark.images}
    for key in benchmark.cells():
        watch(" · ".join(key[:3]))
        if key not in done:
            done[key] = dict(zip(_KEY, key, strict=True)) | _scores(benchmark, files[key[0]], key)
            write_rows(path, list(done.values()))
    return [done[key] for key in benchmark.cells()]


def means(rows: Sequence[Row]) -> list[Row]:
    """One row per degradation and method: the mean of every score over the images."""
    groups = dict[tuple[str, str], list[Row]]()
    for row in rows:
        groups.setdefault((row["degradation"], row["method"]), []).append(row)
    return [
        {"degradation": degradation, "method": method, "images": str(len(group))}
        | {name: _mean([row[name] for row in group]) for name in _SCORES}
        for (degradation, method), group in groups.items()
    ]


def as_markdown(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table whose columns line up in plain text too."""
    if not rows:
        return ""
    columns = list(rows[0])
    lines = [columns, *([row[c] for c in columns] for row in rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(columns))]
    texts = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([texts[0], rule, *texts[1:]]) + "\n"


def _scores(benchmark: Benchmark, image: Path, key: Sequence[str]) -> dict[str, str]:
    x = read_image(image)
    draw = torch.Generator().manual_seed(benchmark.seed + zlib.crc32(image.name.encode()))
    flags = benchmark.degradations[key[1]]
    flags = replace(flags, bits=8) if benchmark.eight_bit else flags
    degradation = flags.draw(x.shape, draw)
    y = degradation.degrade(x, draw)
    measurement: Measurement = degradation.measurement(y)
    before = score(measurement.operator.initial(y), x)
    restoration = evaluate(key[2], benchmark.methods[key[2]], measurement)
    after = score(restoration.x, x)
    return {
        "psnr": _text(after.psnr, 3),
        "ssim": _text(after.ssim, 4),
        "gain": _text((after.psnr or 0.0) - (before.psnr or 0.0), 3),
        "iterations": str(restoration.iterations),
        "seconds": f"{restoration.seconds:.3f}",
        "status": restoration.status.name.lower(),
    }


def _text(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _mean(values: Sequence[str]) -> str:
    """The mean with the digits of the values; empty where one is."""
    if not all(values):
        return ""
    digits = max(len(v.partition(".")[2]) for v in values)
    return f"{sum(map(float, values)) / len(values):.{max(digits, 1)}f}"
