"""Early stopping: for methods that come close to the answer and then leave it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, final

import torch

from undegrade.core.image import PerSample
from undegrade.core.stopping import State, Status, Verdict


class Best(NamedTuple):
    """The best score of every sample so far, and the iteration that had it."""

    score: PerSample
    iteration: PerSample


@final
@dataclass(frozen=True)
class Patience:
    """Stop when a score has not improved for some iterations, and keep the best-scored iterate.

    This is early stopping, for methods that come close to the answer and then leave it. It never
    speaks of convergence or budgets: combine it, `any_of(until(iterations=5000), Patience(…))`.

    Arguments:
        score: (iteration, state) ↦ one number per sample, smaller is better, such as the variance
            of the last estimates or the error on pixels that were held out.
        iterations: how long to wait for a better one.

    Raises:
        ValueError: fewer than 1 iteration.
    """

    score: Callable[[int, State], PerSample]
    iterations: int

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"expected a patience of 1 iteration or more, got {self.iterations}")

    def begin(self, state: State) -> Best:
        """Nothing scored yet."""
        return Best(torch.full_like(state.residual, math.inf), torch.zeros_like(state.residual))

    def look(self, iteration: int, state: State, memory: Best) -> tuple[Verdict, Best]:
        """A verdict at every iteration."""
        return judged(iteration, self.score(iteration, state), memory, self.iterations)


def judged(
    iteration: int, score: PerSample, best: Best, patience: int, *, early: bool = False
) -> tuple[Verdict, Best]:
    """What a score says beside the best one so far; early ones are no minima, but worth keeping."""
    score = score.to(best.score)
    better = score < best.score
    newer = better | early
    best = Best(
        best.score if early else torch.where(better, score, best.score),
        torch.where(newer, float(iteration), best.iteration),
    )
    late = iteration - best.iteration >= patience
    return Verdict(
        [Status.OUTWAITED if over else None for over in late.tolist()], newer.tolist()
    ), best
