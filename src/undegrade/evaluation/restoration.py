"""One method on one image: what came out, how good it is, and what it took."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from undegrade.core.image import Image, PerSample, ratio
from undegrade.core.measurement import Measurement, Restorer
from undegrade.core.solver import Observer, Record, Result
from undegrade.core.stopping import State, Status
from undegrade.metrics.distortion import psnr, ssim

_LEAST_FOR_SSIM = 11
_GRAY_LEVEL = 1 / 255


@dataclass(frozen=True, kw_only=True)
class Score:
    """PSNR in dB and SSIM against the truth; None where it is unknown, or too small for SSIM."""

    psnr: float | None = None
    ssim: float | None = None


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """One image as one method restored it.

    Arguments:
        method: its name.
        x: the restored image.
        status: why the method ended.
        iterations: that it took.
        seconds: from the measurement to the result, the choice of a weight included, observers not.
        score: against the truth.
        trace: what was observed after each iteration.
        chosen: what the method decided by itself, such as the weight of its prior.
        command: what repeats it.
        file: where it is stored, seen from the page that shows it.
        kernel: of the blur that a method ended with, (c kh kw), where it corrects the given one.
        parts: what the method found beside x, as pictures in which 0 is gray.
        along: pictures on the way, by the iteration.
        misfit: root-mean-square of what is left of the measurement, in units of its noise.
    """

    method: str
    x: Image = field(repr=False)
    status: Status
    iterations: int
    seconds: float
    score: Score = field(default_factory=Score)
    trace: tuple[Record, ...] = field(default=(), repr=False)
    chosen: Mapping[str, float] = field(default_factory=dict[str, float])
    command: str = ""
    file: str = ""
    kernel: Tensor | None = field(default=None, repr=False)
    parts: Mapping[str, Image] = field(default_factory=dict[str, Image], repr=False)
    along: Mapping[int, Image] = field(default_factory=dict[int, Image], repr=False)
    misfit: float | None = None


def misfit(measurement: Measurement, x: Image) -> PerSample:
    """√(mean (φ(x) − y)²/(variance + a gray level²)) over the entries that are seen.

    About 1 where everything is right, and less where noise is below a gray level of 8 bits: there
    a method's own error is larger, and nobody sees it.
    """
    y, precision = measurement.y, measurement.likelihood.noise.precision(measurement.y)
    seen = precision > 0
    squares = (measurement.operator(x) - y).square_()
    squares.div_(precision.reciprocal().add_(_GRAY_LEVEL**2)).masked_fill_(~seen, 0)
    return ratio(squares.flatten(1).sum(1), seen.flatten(1).sum(1).to(y)).sqrt()


def score(x: Image, truth: Tensor | None) -> Score:
    """The score of one image; an image of another size than the truth has none."""
    if truth is None or x.shape != truth.shape:
        return Score()
    similarity = ssim(x, truth).item() if min(x.shape[2:]) >= _LEAST_FOR_SSIM else None
    return Score(psnr=psnr(x, truth).item(), ssim=similarity)


def restoration_of(
    method: str, result: Result[Any], truth: Tensor | None = None, seconds: float | None = None
) -> Restoration:
    """The first image of a result, with its score.

    Arguments:
        method: its name.
        result: of the method.
        truth: what the image should be.
        seconds: that it took; by default those of the result, without the choice of a weight.
    """
    return Restoration(
        method=method,
        x=result.x[:1].detach().cpu(),
        status=result.status[0],
        iterations=result.iterations[0],
        seconds=result.seconds if seconds is None else seconds,
        score=score(result.x, truth),
        trace=result.trace,
        chosen={name: float(value[0]) for name, value in result.chosen.items()},
        kernel=None if result.kernel is None else result.kernel[0].detach().cpu(),
        parts={name: 0.5 + 0.5 * v[:1].detach().cpu() for name, v in result.parts.items()},
    )


def evaluate(
    method: str,
    restorer: Restorer,
    measurement: Measurement,
    truth: Tensor | None = None,
    observe: Sequence[Observer] = (),
    command: str = "",
) -> Restoration:
    """Restore one image; with a truth, the trace has its PSNR after each iteration.

    Arguments:
        method: its name.
        restorer: the method.
        measurement: of one image.
        truth: what the image should be.
        observe: what else is observed.
        command: what repeats it.
    """
    watched = 0.0

    def look(iteration: int, state: State) -> Mapping[str, PerSample]:
        nonlocal watched
        began = time.perf_counter()
        values = dict[str, PerSample]()
        for observer in observe:
            values.update(observer(iteration, state))
        if truth is not None and state.x.shape == truth.shape:
            values["psnr"] = psnr(state.x, truth)
        watched += time.perf_counter() - began
        return values

    began = time.perf_counter()
    result = restorer.restore(measurement, observe=(look,))
    seconds = time.perf_counter() - began - watched
    same = result.kernel is None  # x explains y by the kernel that was found, not by the given one
    left = float(misfit(measurement, result.x)[0]) if same else None
    return replace(restoration_of(method, result, truth, seconds), command=command, misfit=left)
