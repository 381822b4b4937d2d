"""How long to fit is learned without some of the data; then all of them are fitted for as long."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from undegrade.core.image import PerSample
from undegrade.core.measurement import Measurement
from undegrade.core.solver import Observer, Record, Result
from undegrade.core.stopping import State, Status, Stop, Verdict
from undegrade.machines.validated import hold_out
from undegrade.untrained.patience import Patience

HELD_OUT = "held-out"
# (measurement, rule, checkpoint, observers) ↦ its fit
Fit = Callable[[Measurement, Stop[Any], Path | None, Sequence[Observer]], Result[Any]]


def fit_and_refit(
    fit: Fit,
    measurement: Measurement,
    patience: int,
    seed: int,
    path: Path | None,
    observe: Sequence[Observer],
) -> Result[Any]:
    """Two fits: one without the entries that judge it, one of all entries for as many iterations.

    The picture is the mean of both, which have different errors: better by some tenths of a dB than
    either. The trace has the second after the first, and "held-out", by which the first was judged.

    Raises:
        ValueError: from the fit.
    """
    whole_path = None if path is None else path.with_name(f"{path.name}.whole")
    if path is not None and whole_path is not None and not path.exists():
        whole_path.unlink(missing_ok=True)  # of a run that nobody goes on with
    rest, misfit = hold_out(measurement, seed=seed)

    def judge(iteration: int, state: State) -> Mapping[str, PerSample]:
        return {HELD_OUT: misfit(iteration, state)}

    first = fit(rest, Patience(misfit, patience), path, (judge, *observe))
    before = max(first.iterations)
    after = [_later(observer, before) for observer in observe]
    counts = judged_best(first)
    second = fit(measurement, _ForAsLong(counts), whole_path, after)
    if whole_path is not None:
        whole_path.unlink(missing_ok=True)
    return replace(
        second,
        x=(first.x + second.x) / 2,
        status=first.status,
        iterations=tuple(before + count for count in counts),
        seconds=first.seconds + second.seconds,
        trace=(*first.trace, *(_shifted(r, before, first.seconds) for r in second.trace)),
    )


def judged_best(result: Result[Any]) -> tuple[int, ...]:
    """The iteration with the least held-out misfit, for every sample."""
    judged = [record for record in result.trace if HELD_OUT in record.values]
    scores = torch.stack([record.values[HELD_OUT] for record in judged])
    return tuple(judged[k].iteration for k in scores.argmin(0).tolist())


@final
@dataclass(frozen=True)
class _ForAsLong:
    """Stop every sample after a number of iterations of its own."""

    iterations: tuple[int, ...]

    def begin(self, state: State) -> Tensor:
        """Nothing to remember, as a tensor that a file can hold."""
        return torch.zeros_like(state.residual)

    def look(self, iteration: int, state: State, memory: Tensor) -> tuple[Verdict, Tensor]:
        """A verdict at every iteration."""
        del state
        over = [Status.EXHAUSTED if iteration >= n else None for n in self.iterations]
        return Verdict(over, [True] * len(over)), memory


def _later(observer: Observer, before: int) -> Observer:
    def observe(iteration: int, state: State) -> Mapping[str, PerSample]:
        return observer(before + iteration, state)

    return observe


def _shifted(record: Record, iterations: int, seconds: float) -> Record:
    return replace(
        record, iteration=record.iteration + iterations, seconds=record.seconds + seconds
    )
