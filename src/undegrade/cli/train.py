"""`undegrade train`: learn a method from a folder of pictures."""

import sys
from collections.abc import Sequence

from undegrade.cli.parsing import parse
from undegrade.cli.progress import Bar
from undegrade.training.settings import TrainingSettings
from undegrade.training.train import Progress, train


def run(args: Sequence[str]) -> int:
    """Parse the arguments and train; what an interrupted training saved is gone on from."""
    settings = parse(TrainingSettings, "train", args)
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
