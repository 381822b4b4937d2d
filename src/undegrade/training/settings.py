"""What decides a training, as one frozen record."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from undegrade.restorers.architecture import Design, SplittingDesign
from undegrade.training.mixture import Mixture


@final
@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Train a learned method on folders of pictures.

    Writes `weights.safetensors` (the moving average), `curve.csv` and checkpoints to `output`, and
    goes on from the newest whole checkpoint there, with the result of a training that was never
    interrupted.

    Arguments:
        images: folders of pictures to train on.
        output: folder for what is written.
        design: the machine; `SplittingDesign` is for every degradation, `MultiscaleDesign` takes
            half the time and is enough for noise alone.
        mixture: the degradations, and how often each.
        start_from: file of weights to begin with instead of random ones.
        validate: folder of pictures for the validation curve; none without.
        iterations: length of the training; step sizes fall toward its end.
        batch: crops per device and step.
        short: first iterations, in which only the first step is trained: they are that much faster.
        crops: side lengths of the crops in the first part and in the last quarter.
        kernel_rate: highest step size of the kernels (of orthogonalized momentum).
        learning_rate: highest step size of all other weights (of AdamW).
        warm_up: iterations until the step sizes are at their highest.
        cool_down: last part of the training, over which they fall to almost nothing.
        weight_decay: relative to the step size.
        clip: largest norm of the gradient.
        decay: weight of a step in the loss relative to the next.
        average: decay of the moving average of the weights.
        scales: sizes of the copies of each picture.
        accumulate: batches per update.
        precision: of lightning-fabric, such as "32-true" or "bf16-mixed".
        accelerator: of lightning-fabric: "auto", "cpu" or "cuda".
        devices: processes per machine.
        nodes: machines.
        seed: decides everything that is drawn.
        save_every: iterations between checkpoints (and validations).
        seconds: stop (and save) after this time, to be continued; 0 means never.
        compile: compile the cell, which takes a minute and pays on a GPU.
        recompute: gradient checkpointing, where memory is short.
    """

    images: tuple[Path, ...]
    output: Path
    design: Design = field(default_factory=SplittingDesign)
    mixture: Mixture = field(default_factory=Mixture)
    start_from: Path | None = None
    validate: Path | None = None
    iterations: int = 100_000
    batch: int = 16
    crops: tuple[int, int] = (96, 144)
    short: int = 0
    kernel_rate: float = 0.005
    learning_rate: float = 5e-4
    warm_up: int = 100
    cool_down: float = 0.6
    weight_decay: float = 0.01
    clip: float = 0.5
    decay: float = 0.6
    average: float = 0.999
    scales: tuple[float, ...] = (1.0, 0.8, 0.6)
    accumulate: int = 1
    precision: str = "32-true"
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    seed: int = 0
    save_every: int = 1000
    seconds: float = 0.0
    compile: bool = False
    recompute: bool = False
