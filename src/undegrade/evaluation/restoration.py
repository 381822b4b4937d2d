"""One method on one measurement: what came out, how good it is, and what it took."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from undegrade.core.image import Image, PerSample
from undegrade.core.measurement import Measurement, Restorer
from undegrade.core.solver import Observer, Result
from undegrade.core.stopping import State
from undegrade.metrics.distortion import psnr, ssim

_LEAST_FOR_SSIM = 11


@dataclass(frozen=True, kw_only=True)
class Score:
    """PSNR in dB and SSIM against the truth; None where it is unknown, or too small for SSIM."""

    psnr: float | None = None
    ssim: float | None = None


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A restoration of one image.

    Arguments:
        result: of the restorer.
        seconds: from the measurement to the result, the choice of a weight included, observers not.
        score: against the truth.
    """

    result: Result[Any]
    seconds: float
    score: Score


def score(x: Image, truth: Tensor | None) -> Score:
    """The score of one image; an image of another size than the truth has none."""
    if truth is None or x.shape != truth.shape:
        return Score()
    similarity = ssim(x, truth).item() if min(x.shape[2:]) >= _LEAST_FOR_SSIM else None
    return Score(psnr=psnr(x, truth).item(), ssim=similarity)


def run_trial(
    restorer: Restorer,
    measurement: Measurement,
    truth: Tensor | None = None,
    observe: Sequence[Observer] = (),
) -> Trial:
    """Restore one image; with a truth, the trace has its PSNR after each iteration."""
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
    return Trial(result=result, seconds=seconds, score=score(result.x, truth))
