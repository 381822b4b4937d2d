"""`undegrade benchmark`: methods scored on a folder of pictures."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

from tyro import conf

from undegrade.cli.methods import read_method
from undegrade.cli.parsing import flags_from, parse
from undegrade.cli.progress import Bar
from undegrade.degradations.flags import DegradationFlags
from undegrade.evaluation.benchmark import Benchmark, as_markdown, means, run_benchmark
from undegrade.files.atomic import replacing
from undegrade.files.picture import list_pictures
from undegrade.files.tables import write_settings


@final
@dataclass(frozen=True, kw_only=True)
class BenchmarkCommand:
    """Degrade every picture of a folder in every way, restore it by every method, and score it.

    Degradations and methods are written as for the other commands, with commas for spaces:
    "blur=motion:15:30,noise=gaussian:0.02" and "variational,weight=9". An interrupted run goes on
    where it stopped.

    Arguments:
        images: folder of undegraded pictures.
        degradations: each from the flags of `degrade`.
        methods: each a name from `undegrade methods`, with settings or without.
        output: folder for results.csv (a row each), means.md and settings.json.
        seed: decides, with a picture's name, its noise, mask and random kernel.
        eight_bit: round and clip the degraded picture to 8 bits, as a file does.
    """

    images: Annotated[Path, conf.arg(metavar="DIR")]
    degradations: Annotated[tuple[str, ...], conf.arg(metavar="FLAG=VALUE,...")]
    methods: Annotated[tuple[str, ...], conf.arg(metavar="NAME")] = ("variational",)
    output: Annotated[Path, conf.arg(metavar="DIR")]
    seed: int = 0
    eight_bit: bool = False


def run(args: Sequence[str]) -> int:
    """Parse the arguments, compare, and print the means."""
    command = parse(BenchmarkCommand, "benchmark", args)
    if not command.degradations or not command.methods:
        raise ValueError("benchmark needs at least one degradation and one method")
    if not command.images.is_dir():
        raise FileNotFoundError(2, f"there is no folder {command.images}")
    benchmark = Benchmark(
        images=list_pictures(command.images),
        degradations={text: read_degradation(text) for text in command.degradations},
        methods={text: read_method(text, "benchmark") for text in command.methods},
        seed=command.seed,
        eight_bit=command.eight_bit,
    )
    call = shlex.join(["undegrade", "benchmark", *args])
    table = compare(benchmark, command.output, call)
    sys.stdout.write(table)
    return 0


def compare(benchmark: Benchmark, output: Path, call: str) -> str:
    """Run the benchmark, write its files, and return the table of means."""
    output.mkdir(parents=True, exist_ok=True)
    with Bar(len(benchmark)) as bar:
        rows = run_benchmark(benchmark, output / "results.csv", bar.begin)
    table = as_markdown(means(rows))
    methods: Mapping[str, Any] = {name: vars(m) for name, m in benchmark.methods.items()}
    write_settings(output / "settings.json", {"command": call, "methods": methods})
    with replacing(output / "means.md") as file:
        file.write(table.encode())
    return table


def read_degradation(text: str) -> DegradationFlags:
    """A degradation such as "blur=disk:3,noise=gaussian:0.02".

    Raises:
        ValueError: it names an unknown flag, or a value that means nothing.
    """
    return parse(DegradationFlags, "benchmark", flags_from(text.split(",")))
