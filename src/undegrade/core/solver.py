"""How an iterative method looks, and the one loop that runs them all."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from undegrade.core.above import above
from undegrade.core.image import PerSample, Vector, select
from undegrade.core.stopping import State, Status, Stop

S = TypeVar("S", bound=State)
P_contra = TypeVar("P_contra", contravariant=True)  # the problem: an Objective, a bilevel problem


@runtime_checkable
class Solver(Protocol[P_contra, S]):
    """An iterative method: where to start, and one step. It never loops over iterations.

    `near` is a state of a similar problem, such as one of a neighboring weight. A method that has
    more than x to begin with takes it from there and leaves that state as it is.
    """

    def init(self, problem: P_contra, x0: Vector, near: S | None = None) -> S: ...
    def step(self, problem: P_contra, state: S) -> S: ...


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
    """The iterate that was kept, and how it was reached; status and iterations are per sample.

    `chosen` has what the method decided by itself, such as the weight of its prior; x0 is where
    the iteration began; `kernel` is what a method that corrects the blur ended with, (b c kh kw).
    """

    x: Vector
    status: tuple[Status, ...]
    iterations: tuple[int, ...]
    seconds: float
    state: S = field(repr=False)
    trace: tuple[Record, ...] = field(default=(), repr=False)
    chosen: Mapping[str, PerSample] = field(default_factory=dict[str, PerSample])
    x0: Vector | None = field(default=None, repr=False)
    kernel: Tensor | None = field(default=None, repr=False)

    def _repr_html_(self) -> str:
        return above.html(self)


def solve(
    solver: Solver[P_contra, S],
    problem: P_contra,
    x0: Vector | None = None,
    *,
    stop: Stop[Any],
    observe: Sequence[Observer] = (),
    start: Result[S] | None = None,
) -> Result[S]:
    """Iterate `solver` on `problem` until `stop` has spoken for every sample.

    A sample whose stopping rule fires keeps the iterate that the rule found worth keeping; the
    others go on, so that a batch gives what its members alone would give. What is not finite is
    never kept, unless the start was not.

    Arguments:
        solver: the method.
        problem: what it solves.
        x0: the start, one tensor of any shape per sample. Not needed where `start` is given.
        stop: the stopping rule, such as `until(iterations=100, residual=1e-4)`. It looks at the
            state of a continued result with a new memory.
        observe: functions of (iteration, state) whose values go into the trace.
        start: an earlier result, to go on from its state for all samples; iterations, seconds and
            trace continue.

    Raises:
        ValueError: neither x0 nor start is given.
    """
    began = time.perf_counter()
    if start is not None:
        x0, state, x, trace = start.x0, start.state, start.x, [*start.trace]
        iteration, seconds = max(start.iterations), start.seconds
    elif x0 is not None:
        state = solver.init(problem, x0)
        x, trace, iteration, seconds = state.x, list[Record](), 0, 0.0
    else:
        raise ValueError("solve needs a start: x0, or an earlier result to go on from")
    kept = _Kept(x, stop, stop.begin(state))
    kept.look(iteration, state)
    seconds += time.perf_counter() - began
    while not kept.all_stopped:
        began = time.perf_counter()
        state, iteration = solver.step(problem, state), iteration + 1
        looked = kept.look(iteration, state)
        seconds += time.perf_counter() - began  # observers are free
        values = {"residual": state.residual} if looked else {}
        for observer in observe:
            values.update(observer(iteration, state))
        if values:
            trace.append(Record(iteration, seconds, values))
    status = tuple(s for s in kept.status if s is not None)
    iterations = tuple(kept.iterations)
    return Result(kept.x, status, iterations, seconds, state, tuple(trace), x0=x0)


def advance(
    solver: Solver[P_contra, S], problem: P_contra, x0: Vector, steps: int, near: S | None = None
) -> S:
    """The state after a number of steps from x0, with no look at any residual on the way."""
    state = solver.init(problem, x0, near)
    for _ in range(steps):
        state = solver.step(problem, state)
    return state


class _Kept:
    """The iterate, status and iteration at which each sample stopped."""

    def __init__(self, x: Vector, stop: Stop[Any], memory: Any) -> None:
        self.x, self.stop, self.memory = x, stop, memory
        self.status: list[Status | None] = [None] * len(x)
        self.iterations = [0] * len(x)

    @property
    def all_stopped(self) -> bool:
        return None not in self.status

    def look(self, iteration: int, state: State) -> bool:
        """Ask the stopping rule about the new iterate, and tell whether it looked."""
        verdict, self.memory = self.stop.look(iteration, state, self.memory)
        if verdict is None:
            return False
        going = [status is None for status in self.status]
        keep = [going_on and good for going_on, good in zip(going, verdict.keep, strict=True)]
        if all(keep):
            self.x = state.x
        elif any(keep):
            self.x = select(torch.tensor(keep, device=self.x.device), state.x, self.x)
        for i in (i for i, going_on in enumerate(going) if going_on):
            self.iterations[i], self.status[i] = iteration, verdict.statuses[i]
        return True
