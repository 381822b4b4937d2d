"""The training loop, and what its observers are told."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from undegrade.training.denormals import flushing_thread
from undegrade.training.run import Run
from undegrade.training.settings import TrainingSettings

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Progress(NamedTuple):
    """What an observer of the training sees after every iteration."""

    iteration: int
    iterations: int
    loss: Tensor
    seconds: float
    validation: dict[str, float] | None


Watch = Callable[[Progress], None]


def train(settings: TrainingSettings, watch: Sequence[Watch] = ()) -> Path:
    """Train, or go on training, and return where the weights are.

    Raises:
        ValueError: settings that make no sense, pictures that are missing or too small.
    """
    with flushing_thread() as thread:
        run = thread.submit(lambda: Run(settings, launch(settings))).result()
        began = time.perf_counter()
        while run.iteration < settings.iterations:
            loss = thread.submit(run.update).result()
            late = 0 < settings.seconds <= time.perf_counter() - began
            last = run.iteration == settings.iterations or late
            saves = last or run.iteration % settings.save_every == 0
            validation = thread.submit(run.save).result() if saves else None
            for observer in watch:
                seconds = time.perf_counter() - began
                observer(Progress(run.iteration, settings.iterations, loss, seconds, validation))
            if last:
                break
    return settings.output / "weights.safetensors"


def launch(settings: TrainingSettings) -> "Fabric":
    """Lightning's Fabric for the devices of these settings, launched."""
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise ValueError("training needs more: pip install 'undegrade[train]'") from error

    fabric = Fabric(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.nodes,
        precision="32-true",  # the cell alone may compute in another one, see `Unrolled`
    )
    fabric.launch()
    return fabric
