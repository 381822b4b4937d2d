"""`undegrade learn-prior`: learn the prior of variational restoration from a folder of pictures."""

import sys
from collections.abc import Sequence

from undegrade.cli.parsing import parse
from undegrade.cli.progress import Bar
from undegrade.training.prior import learn_prior
from undegrade.training.prior_settings import PriorProgress, PriorSettings

_LINES = 25  # steps between two lines of the mean PSNR


def run(args: Sequence[str]) -> int:
    """Parse the arguments and learn; what an interrupted call saved is gone on from."""
    settings = parse(PriorSettings, "learn-prior", args)
    seen = list[float]()
    with Bar(settings.iterations) as bar:
        bar.begin("learning")

        def watch(progress: PriorProgress) -> None:
            seen.append(progress.decibels)
            bar.show(progress.iteration, f"{progress.decibels:.2f} dB")
            if progress.iteration % _LINES == 0:
                mean = sum(seen[-_LINES:]) / len(seen[-_LINES:])
                sys.stdout.write(f"{progress.iteration}  {mean:.3f} dB on its crops\n")
                sys.stdout.flush()

        path = learn_prior(settings, [watch])
    sys.stdout.write(f"{path}\n")
    return 0
