"""`undegrade reproduce`: published experiments, as tables, curves and pictures on one page."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

from tyro import conf

from undegrade.cli.parsing import look_up, parse
from undegrade.cli.progress import Bar
from undegrade.experiments import EXPERIMENTS
from undegrade.experiments.run import run_experiment


@final
@dataclass(frozen=True, kw_only=True)
class Reproduce:
    """Run a published experiment: tables as CSV and Markdown, and a page with curves and pictures.

    The budget decides how large pictures and networks are and how long they are fitted; it was
    measured on two CPU cores. What is done stays in the folder: the same command goes on where it
    stopped, after an interruption or where the budget was spent before the end.

    Arguments:
        experiment: one of the names that `undegrade reproduce --help` lists.
        images: folder of the pictures that the experiment is about.
        output: folder of what is found; reproduced/EXPERIMENT where it is not given.
        budget: minutes.
    """

    experiment: Annotated[str, conf.Positional, conf.arg(metavar="|".join(EXPERIMENTS))]
    images: Annotated[Path | None, conf.arg(metavar="DIR")] = None
    output: Annotated[Path | None, conf.arg(metavar="DIR", aliases=["-o"])] = None
    budget: Annotated[float, conf.arg(metavar="MINUTES")] = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.budget < float("inf"):
            raise ValueError(f"expected a --budget of more than 0 minutes, got {self.budget:g}")


def run(args: Sequence[str]) -> int:
    """Parse the arguments, run what is not done yet, and tell the tables."""
    command = parse(Reproduce, "reproduce", args)
    experiment = look_up(EXPERIMENTS, "experiment", command.experiment)
    if command.images is not None and not command.images.is_dir():
        raise FileNotFoundError(2, f"there is no folder {command.images}")
    folder = command.output or Path("reproduced") / command.experiment
    with Bar(1) as bar:

        def watch(done: int, count: int, name: str) -> None:
            bar.begin(f"{command.experiment}: {name}")
            bar.show(done, f"piece {done + 1} of {count}")

        done, count = run_experiment(
            command.experiment, experiment, folder, command.images, command.budget, watch
        )
    for table in sorted(folder.glob("*.md")):
        sys.stdout.write(f"{table.stem}\n{table.read_text('utf-8')}\n")
    rest = "" if done == count else f"; {done} of {count} pieces done, the same command goes on"
    sys.stdout.write(f"{folder / 'report.html'}{rest}\n")
    return 0
