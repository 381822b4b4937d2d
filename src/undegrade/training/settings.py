"""What decides a training, as one frozen record."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, final

from undegrade.core.ranges import COUNT, POSITIVE, Range, check_ranges
from undegrade.machines.architecture import Architecture
from undegrade.training.mixture import Mixture


@final
@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Train a learned method on folders of pictures.

    Writes `weights.safetensors` (the moving average), `curve.csv` and checkpoints to `output`, and
    goes on from the newest whole checkpoint there, with the result of a training that was never
    interrupted. On the command line `--architecture NAME` (universal, denoising,
    gauss-newton, residual, gated) chooses a machine, whose parts are then flags such as
    `--architecture.cell.middle 8`.

    Arguments:
        images: folders of pictures to train on.
        output: folder for what is written.
        architecture: the machine; by default that of `start_from`, else `universal`. `denoising`
            takes half the time and is enough for noise alone.
        mixture: the degradations, and how often each.
        start_from: file of weights to begin with instead of random ones. `gauss-newton` may begin
            with a machine of fixed damping, such as `universal`.
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
        recolored: probability of a crop to have its channels exchanged, and its contrast and
            saturation changed.
        accumulate: batches per update.
        precision: "32-true", "bf16-mixed" for bfloat16 in the network alone, or "auto" for that
            where the device is made for it.
        accelerator: of lightning-fabric: "auto", "cpu" or "cuda".
        devices: processes per machine.
        nodes: machines.
        seed: decides everything that is drawn.
        save_every: iterations between checkpoints (and validations, and lines of the curve).
        seconds: stop (and save) after this time, to be continued; 0 means never.
        compile: compile the cell, which takes a minute and pays on a GPU.
        recompute: gradient checkpointing, where memory is short.

    Raises:
        ValueError: a number out of its range.
    """

    images: tuple[Path, ...]
    output: Path
    architecture: Architecture | None = None
    mixture: Mixture = field(default_factory=Mixture)
    start_from: Path | None = None
    validate: Path | None = None
    iterations: Annotated[int, COUNT] = 100_000
    batch: Annotated[int, Range(1, 100_000)] = 16
    crops: Annotated[tuple[int, int], Range(1, 100_000)] = (96, 144)
    short: Annotated[int, Range(0, 10_000_000)] = 0
    kernel_rate: Annotated[float, Range(0, 10)] = 0.005
    learning_rate: Annotated[float, Range(0, 10)] = 5e-4
    warm_up: Annotated[int, Range(0, 10_000_000)] = 100
    cool_down: Annotated[float, Range(0, 1)] = 0.6
    weight_decay: Annotated[float, Range(0, 100)] = 0.01
    clip: Annotated[float, POSITIVE] = 0.5
    decay: Annotated[float, Range(0, 1)] = 0.6
    average: Annotated[float, Range(0, 1)] = 0.999
    scales: Annotated[tuple[float, ...], Range(0, 1, excluded=True)] = (1.0, 0.8, 0.6)
    recolored: Annotated[float, Range(0, 1)] = 0.0
    accumulate: Annotated[int, Range(1, 10_000)] = 1
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    accelerator: str = "auto"
    devices: Annotated[int, Range(1, 10_000)] = 1
    nodes: Annotated[int, Range(1, 10_000)] = 1
    seed: int = 0
    save_every: Annotated[int, COUNT] = 1000
    seconds: Annotated[float, Range(0, 1e9)] = 0.0
    compile: bool = False
    recompute: bool = False

    def __post_init__(self) -> None:
        check_ranges(self)
