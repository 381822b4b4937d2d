"""`undegrade train-segmentation`: learn what is where from pictures with label maps."""

import sys
from collections.abc import Sequence

from undegrade.cli.parsing import parse
from undegrade.cli.progress import Bar
from undegrade.training.segmentation import (
    SegmentationProgress,
    SegmentationSettings,
    train_segmentation,
)


def run(args: Sequence[str]) -> int:
    """Parse the arguments and train; what an interrupted training saved is gone on from."""
    settings = parse(SegmentationSettings, "train-segmentation", args)
    with Bar(settings.iterations) as bar:
        bar.begin("training")

        def watch(progress: SegmentationProgress) -> None:
            bar.show(progress.iteration, f"loss {progress.loss.item():.3g}")
            if progress.overlap is not None:
                sys.stdout.write(f"{progress.iteration}  overlap {progress.overlap:.3f}\n")

        weights = train_segmentation(settings, [watch])
    sys.stdout.write(f"{weights}\n")
    return 0
