"""How an iterative method looks, and the one loop that runs them all."""

import enum
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from undegrade.core.image import Image, PerSample


@runtime_checkable
class State(Protocol):
    """What every iterate shows to the outside, whatever else it carries."""

    @property
    def x(self) -> Image: ...
    @property
    def residual(self) -> PerSample: ...


S = TypeVar("S", bound=State)
P_contra = TypeVar("P_contra", contravariant=True)  # the problem: an Objective, a bilevel problem


@runtime_checkable
class Solver(Protocol[P_contra, S]):
    """An iterative method: where to start, and one step. It never loops over iterations."""

    def init(self, problem: P_contra, x0: Image) -> S: ...
    def step(self, problem: P_contra, state: S) -> S: ...


class Status(enum.Enum):
    """Why a sample's iteration ended."""

    CONVERGED = "converged: the residual is below the tolerance"
    STALLED = "stalled: no further progress is possible in this precision"
    EXHAUSTED = "stopped: all iterations that were asked for are done"
    DIVERGED = "diverged: the iterate is not finite"


Verdict = Sequence[Status | None]
Stop = Callable[[int, State], Verdict | None]
"""(iteration, state) ↦ a status or None for every sample; None altogether when it did not look."""
Observer = Callable[[int, State], Mapping[str, PerSample]]


@dataclass(frozen=True)
class Record:
    """One row of a trace: values are per sample; seconds count steps and stopping rules.

    The method's own residual is there for the iterations at which the stopping rule looked.
    """

    iteration: int
    seconds: float
    values: Mapping[str, PerSample]


@dataclass(frozen=True)
class Result(Generic[S]):
    """A restored image and how it was reached; status and iterations are per sample.

    `chosen` has what the method decided by itself, such as the weight of its prior.
    """

    x: Image
    status: tuple[Status, ...]
    iterations: tuple[int, ...]
    seconds: float
    state: S = field(repr=False)
    trace: tuple[Record, ...] = field(default=(), repr=False)
    chosen: Mapping[str, PerSample] = field(default_factory=dict[str, PerSample])


def until(*, iterations: int, residual: float = 0.0, every: int = 1) -> Stop:
    """Stop a sample when its residual is small, no longer moves, or the budget is spent.

    Arguments:
        iterations: the budget.
        residual: the tolerance on the method's own residual.
        every: how many iterations lie between two looks; a look makes a GPU wait.
    """
    if iterations < 0 or every < 1:
        raise ValueError(f"expected iterations ≥ 0 and every ≥ 1, got {iterations} and {every}")
    seen: list[Tensor] = []

    def stop(iteration: int, state: State) -> Verdict | None:
        last = iteration >= iterations
        if iteration % every and not last:
            return None
        if iteration == 0:
            seen.clear()
        finite = torch.isfinite(state.x).flatten(1).all(1) & ~state.residual.isnan()
        seen.append(state.residual)
        stalled = _unmoved(seen)
        del seen[:-3]
        otherwise = Status.EXHAUSTED if last else None
        rows = torch.stack((~finite, state.residual <= residual, stalled)).T.tolist()
        return [
            Status.DIVERGED
            if bad
            else Status.CONVERGED
            if good
            else Status.STALLED
            if same
            else otherwise
            for bad, good, same in rows
        ]

    return stop


def _unmoved(seen: Sequence[Tensor]) -> Tensor:
    """Whether the last three looks saw the same finite residual, bit for bit."""
    if len(seen) < 3:
        return torch.zeros_like(seen[-1], dtype=torch.bool)
    return (seen[-1] == seen[-2]) & (seen[-2] == seen[-3]) & seen[-1].isfinite()


def solve(
    solver: Solver[P_contra, S],
    problem: P_contra,
    x0: Image | None = None,
    *,
    stop: Stop,
    observe: Sequence[Observer] = (),
    state: S | None = None,
) -> Result[S]:
    """Iterate `solver` on `problem` until `stop` has spoken for every sample.

    A sample whose stopping rule fires keeps the iterate it had then; the others go on, so that a
    batch gives what its members alone would give.

    Arguments:
        solver: the method.
        problem: what it solves.
        x0: the start, shape (b, c, h, w). Not needed where `state` is given.
        stop: the stopping rule, such as `until(iterations=100, residual=1e-4)`.
        observe: functions of (iteration, state) whose values go into the trace.
        state: the state of an earlier result, to go on from there; iterations count from 0 again.

    Raises:
        ValueError: neither x0 nor state is given.
    """
    began = time.perf_counter()
    if state is None:
        if x0 is None:
            raise ValueError("solve needs a start: x0, or the state of an earlier result")
        state = solver.init(problem, x0)
    kept, iteration, trace = _Kept(state.x), 0, list[Record]()
    kept.look(iteration, state, stop)
    seconds = time.perf_counter() - began
    while not kept.all_stopped:
        began = time.perf_counter()
        state, iteration = solver.step(problem, state), iteration + 1
        looked = kept.look(iteration, state, stop)
        seconds += time.perf_counter() - began  # observers are free
        values = {"residual": state.residual} if looked else {}
        for observer in observe:
            values.update(observer(iteration, state))
        if values:
            trace.append(Record(iteration, seconds, values))
    status = tuple(s for s in kept.status if s is not None)
    return Result(kept.x, status, tuple(kept.iterations), seconds, state, tuple(trace))


def advance(solver: Solver[P_contra, S], problem: P_contra, x0: Image, steps: int) -> S:
    """The state after a number of steps from x0, with no look at any residual on the way."""
    state = solver.init(problem, x0)
    for _ in range(steps):
        state = solver.step(problem, state)
    return state


class _Kept:
    """The iterate, status and iteration at which each sample stopped."""

    def __init__(self, x: Image) -> None:
        self.x = x
        self.status: list[Status | None] = [None] * len(x)
        self.iterations = [0] * len(x)

    @property
    def all_stopped(self) -> bool:
        return None not in self.status

    def look(self, iteration: int, state: State, stop: Stop) -> bool:
        """Take in the new iterate, ask the stopping rule, and tell whether it looked."""
        going = [i for i, status in enumerate(self.status) if status is None]
        if len(going) == len(self.status):
            self.x = state.x
        else:
            mask = torch.tensor([s is None for s in self.status], device=self.x.device)
            self.x = torch.where(mask.reshape(-1, 1, 1, 1), state.x, self.x)
        verdict = stop(iteration, state)
        for i in going:
            self.iterations[i] = iteration
            self.status[i] = None if verdict is None else verdict[i]
        return verdict is not None
