"""`undegrade train`: learn a method from a folder of pictures."""

import sys
from collections.abc import Sequence
from pathlib import Path

import tyro
from tyro import conf

from undegrade.cli.parsing import look_up, parse, taken
from undegrade.cli.progress import Bar
from undegrade.machines.architecture import ARCHITECTURES
from undegrade.training.settings import TrainingSettings
from undegrade.training.train import Progress, train


def run(args: Sequence[str]) -> int:
    """Parse the arguments and train; what an interrupted training saved is gone on from."""
    settings = parse_settings(args)
    with Bar(settings.iterations) as bar:
        bar.begin("training")

        def watch(progress: Progress) -> None:
            bar.show(progress.iteration, f"loss {progress.loss.item():.3g}")
            if progress.validation:
                scores = "  ".join(f"{k} {v:.2f} dB" for k, v in progress.validation.items())
                sys.stdout.write(f"{progress.iteration}  {scores}\n")

        weights = train(settings, [watch])
    sys.stdout.write(f"{weights}\n")
    return 0


def parse_settings(args: Sequence[str]) -> TrainingSettings:
    """The settings that the arguments describe; `--architecture NAME` decides what may be changed.

    Raises:
        ValueError: they describe none.
    """
    name, rest = taken(args, "--architecture")
    architecture = None if name is None else look_up(ARCHITECTURES, "architecture", name)
    start = TrainingSettings(images=(), output=Path(), architecture=architecture)
    for required in ("images", "output"):  # tyro's mark of what must be given is no path
        object.__setattr__(start, required, tyro.MISSING)
    return parse(conf.AvoidSubcommands[TrainingSettings], "train", rest, start)
