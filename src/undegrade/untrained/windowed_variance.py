"""Early stopping where the last iterates vary least."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from undegrade.core.image import PerSample, Vector
from undegrade.core.stopping import State, Verdict
from undegrade.untrained.patience import Best, judged

# Entries of an iterate that are remembered, the same ones always: their variance is that of all
# within a per cent, and a hundred iterates of a large picture would take more than the network.
_ENTRIES = 2**15


def iterate(state: State) -> Vector:
    """x itself."""
    return state.x


def iterate_inside(state: Any) -> Vector:
    """What the solver inside an averaging one came to: `AveragedState`."""
    return state.inner.x


class Window(NamedTuple):
    """Entries of the last iterates, oldest first, and the least variance so far."""

    last: Float[Tensor, "w b n"]
    best: Best
    variance: PerSample


@final
@dataclass(frozen=True, kw_only=True)
class WindowedVariance:
    """ES-WMV: stop when the variance of the last iterates has not fallen for some iterations.

    V = mean over entries of the variance of x over the last `window` iterations. It falls while the
    picture is drawn and rises when noise is, so that its minimum is near the best picture; that
    iterate is kept. Before the warm-up there is no minimum: a network that has not moved yet varies
    little too. It never speaks of budgets: combine it, `any_of(until(iterations=5000), …)`. Fails
    where the rate falls on its own, which lowers the variance whatever is drawn.

    References:
        Wang, Li, Zhuang, Chen, Liang and Sun, Early stopping for deep image prior (2021),
        section 3.1.

    Good values: as published, window 100 and patience 1000.

    Arguments:
        window: iterates.
        patience: iterations without a new least variance.
        warm_up: iterations before the first variance that counts, at least the window.
        of: the iterate of a state.

    Raises:
        ValueError: a window below 2, or a patience below 1.
    """

    window: int = 100
    patience: int = 1000
    warm_up: int = 0
    of: Callable[[Any], Vector] = iterate

    def __post_init__(self) -> None:
        if self.window < 2 or self.patience < 1:
            raise ValueError(
                "expected a window of 2 iterates or more and a patience of 1 or more,"
                f" got {self.window} and {self.patience}"
            )

    def begin(self, state: State) -> Window:
        """Nothing seen yet."""
        seen = _some(self.of(state))
        worst = torch.full_like(seen[:, 0], math.inf)
        empty = seen.new_zeros(self.window, *seen.shape)
        return Window(empty, Best(worst, torch.zeros_like(worst)), worst)

    def look(self, iteration: int, state: State, memory: Window) -> tuple[Verdict, Window]:
        """A verdict at every iteration."""
        last = torch.cat((memory.last[1:], _some(self.of(state))[None]))
        early = iteration < max(self.window, self.warm_up)
        spread = last.var(0, correction=0).mean(1)
        variance = torch.full_like(spread, math.inf) if early else spread
        verdict, best = judged(iteration, variance, memory.best, self.patience, early=early)
        return verdict, Window(last, best, variance)


def _some(x: Vector) -> Float[Tensor, "b n"]:
    """Entries at random places, the same for every x of a size."""
    flat = x.detach().flatten(1)
    if flat.shape[1] <= _ENTRIES:
        return flat
    generator = torch.Generator().manual_seed(0)
    places = torch.randint(flat.shape[1], (_ENTRIES,), generator=generator)
    return flat[:, places.to(flat.device)]
