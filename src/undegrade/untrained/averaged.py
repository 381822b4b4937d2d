"""A solver around a solver: the average of the last iterates, and how much they vary about it."""

from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar, final

import torch
from jaxtyping import Int
from torch import Tensor

from undegrade.core.image import PerSample, Vector
from undegrade.core.solver import Solver
from undegrade.core.stopping import State

P = TypeVar("P")
S = TypeVar("S", bound=State)

_YOUNG = 10  # iterates over which an average that has just begun runs; early ones are poor


class AveragedState(NamedTuple):
    """The average, the variance about it, and the state of the solver inside."""

    x: Vector
    residual: PerSample
    variance: PerSample
    inner: Any  # the state of whatever solver it is
    iteration: Int[Tensor, ""]


@final
@dataclass(frozen=True, kw_only=True)
class Averaged(Generic[P, S]):
    """x̄ ← d·x̄ + (1 − d)·x over the iterates x of another solver, d = min(decay, k/(k + 10)).

    For methods whose iterates jump about the answer, such as a network under Adam: the average is
    1 to 2 dB better. `variance` is the exponential variance V ← d·(V + (1 − d)·mean (x − x̄)²) per
    entry. It falls while the picture is drawn and rises when noise is, so that its minimum is a
    place to stop without knowing the truth. Fails where the iterates still travel.

    References:
        Wang, Li, Zhuang, Chen, Liang and Sun, Early stopping for deep image prior (2021),
        section 3.2: ES-EMV.

    Good values: decay 0.99.

    Arguments:
        solver: whose iterates are averaged.
        decay: how much of the average survives an iteration, from 0 on and below 1.

    Raises:
        ValueError: a decay outside [0, 1).
    """

    solver: Solver[P, S]
    decay: float = 0.99

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise ValueError(f"expected a decay in [0, 1), got {self.decay}")

    def init(self, problem: P, x0: Vector, near: AveragedState | None = None) -> AveragedState:
        """The solver's own start; of `near`, what the solver takes from its state."""
        inner = self.solver.init(problem, x0, None if near is None else near.inner)
        count = torch.zeros((), dtype=torch.int64)
        return AveragedState(
            inner.x, inner.residual, torch.zeros_like(inner.residual), inner, count
        )

    def step(self, problem: P, state: AveragedState) -> AveragedState:
        inner = self.solver.step(problem, state.inner)
        k = int(state.iteration)
        survives = min(self.decay, k / (k + _YOUNG))
        away = inner.x - state.x
        spread = away.square().flatten(1).mean(1)
        return AveragedState(
            torch.add(state.x, away, alpha=1 - survives),
            inner.residual,
            survives * (state.variance + (1 - survives) * spread),
            inner,
            state.iteration + 1,
        )
