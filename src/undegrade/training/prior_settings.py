"""What decides how a prior is learned, as one frozen record."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, final

from undegrade.core.ranges import COUNT, POSITIVE, Range, check_ranges

Model = Literal["total-variation", "convex", "weakly-convex"]


@final
@dataclass(frozen=True, kw_only=True)
class PriorSettings:
    """Learn the prior of variational restoration on folders of pictures, by denoising them.

    Bilevel: the prior is the one whose minimizers are nearest to the truth. Writes a file that
    `restore --method variational --prior FILE` takes, with any degradation and noise level, and
    checkpoints beside it, from which the same command goes on. Pictures are taken as gray; a prior
    sees one color at a time.

    Arguments:
        images: folders of pictures to learn from.
        output: the file, such as experts.safetensors.
        model: total-variation (its weight), convex (a field of experts with convex costs) or
            weakly-convex (with costs that flatten for large responses; the best pictures).
        solver: mini-batch (inexact hypergradients, by the thousand), or maid (all crops at once,
            with certified gradients; models that are convex).
        filters: how many experts.
        size: rows and columns of their filters, odd.
        noise: standard deviation to learn from, in 8-bit levels.
        crops: how many crops, drawn once with their noise.
        crop: rows and columns of each.
        batch: crops per step.
        inner: iterations of the solution per step, and half of the most of the adjoint.
        rate: largest step, which falls to almost nothing at the end.
        iterations: steps.
        seconds: stop, and save, after this time, to be continued; 0 means never.
        save_every: steps between checkpoints.
        seed: decides all that is drawn.
    """

    images: tuple[Path, ...]
    output: Path
    model: Model = "weakly-convex"
    solver: Literal["mini-batch", "maid"] = "mini-batch"
    filters: Annotated[int, COUNT] = 48
    size: Annotated[int, Range(3, 31)] = 7
    noise: Annotated[float, POSITIVE] = 25.0
    crops: Annotated[int, COUNT] = 192
    crop: Annotated[int, Range(8, 10_000)] = 64
    batch: Annotated[int, COUNT] = 6
    inner: Annotated[int, COUNT] = 6
    rate: Annotated[float, POSITIVE] = 0.015
    iterations: Annotated[int, COUNT] = 1000
    seconds: Annotated[float, Range(0, 1e9)] = 0.0
    save_every: Annotated[int, COUNT] = 100
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.model == "weakly-convex" and self.solver == "maid":
            raise ValueError(
                "MAID certifies gradients of convex models; learn weakly-convex with "
                "--solver mini-batch"
            )
        if self.model == "total-variation" and self.solver == "mini-batch":
            raise ValueError("one weight is learned from all crops at once: give --solver maid")


class PriorProgress(NamedTuple):
    """What an observer sees after every step: of its crops, the PSNR with the prior so far."""

    iteration: int
    iterations: int
    decibels: float


Watch = Callable[[PriorProgress], None]


def about(settings: PriorSettings) -> Mapping[str, str]:
    """What a file says of its making; nothing of where it happened, or of when it stopped."""
    elsewhere = replace(settings, images=(), output=Path(), seconds=0.0)
    return {
        "data": ", ".join(folder.name for folder in settings.images),
        "learned by": repr(elsewhere),
    }
