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
        score = self.score(iteration, state).to(memory.score)
        better = score < memory.score
        best = Best(
            torch.where(better, score, memory.score),
            torch.where(better, float(iteration), memory.iteration),
        )
        late = iteration - best.iteration >= self.iterations
        statuses = [Status.OUTWAITED if over else None for over in late.tolist()]
        return Verdict(statuses, better.tolist()), best
