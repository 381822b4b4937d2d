"""How an iterative method looks, and the one loop that runs them all."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from undegrade.core.above import above
from undegrade.core.image import PerSample, Vector, require_tensor, select
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

    `chosen` has what the method decided by itself, such as the weight of its prior; `parts` what it
    found beside x in the same units, such as the corruption that it took out; `kernel` (b c kh kw)
    what a method that corrects the blur ended with; x0 is where the iteration began.
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
    parts: Mapping[str, Vector] = field(default_factory=dict[str, Vector], repr=False)

    def _repr_html_(self) -> str:
        return above.html(self)


@dataclass(frozen=True, kw_only=True)
class Standing(Generic[S]):
    """A solve between two iterations: all that it takes to go on to the same bits.

    `memory` is what the stopping rule remembers; status is None for samples that go on.
    """

    iteration: int
    state: S = field(repr=False)
    x: Vector = field(repr=False)
    memory: Any = field(repr=False)
    status: tuple[Status | None, ...]
    iterations: tuple[int, ...]
    seconds: float = 0.0
    trace: Sequence[Record] = field(default=(), repr=False)
    x0: Vector | None = field(default=None, repr=False)


def solve(
    solver: Solver[P_contra, S],
    problem: P_contra,
    x0: Vector | None = None,
    *,
    stop: Stop[Any],
    observe: Sequence[Observer] = (),
    start: Result[S] | Standing[S] | None = None,
    pause: Callable[[Standing[S]], None] | None = None,
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
        start: an earlier result, to go on from its state for all samples; or where an earlier solve
            stood. Iterations, seconds and trace continue.
        pause: is given where the solve stands after every iteration, to save it.

    Raises:
        ValueError: neither x0 nor start is given, or x0 is no tensor.
    """
    began = time.perf_counter()
    run = _Run(stop, _standing(solver, problem, x0, stop, start))
    run.seconds += time.perf_counter() - began
    while not run.all_stopped:
        began = time.perf_counter()
        state, iteration = solver.step(problem, run.state), run.iteration + 1
        looked = run.look(iteration, state)
        run.seconds += time.perf_counter() - began  # observers are free
        values = {"residual": state.residual} if looked else {}
        for observer in observe:
            values.update(observer(iteration, state))
        if values:
            run.trace.append(Record(iteration, run.seconds, values))
        if pause is not None:
            pause(run.standing())
    return run.result()


def _standing(
    solver: Solver[P_contra, S],
    problem: P_contra,
    x0: Vector | None,
    stop: Stop[Any],
    start: Result[S] | Standing[S] | None,
) -> Standing[S]:
    """Where a solve begins."""
    if isinstance(start, Standing):
        return start
    if start is not None:
        iteration, state, x = max(start.iterations), start.state, start.x
    elif x0 is not None:
        require_tensor(x0, "a start")
        iteration, state = 0, solver.init(problem, x0)
        x = state.x
    else:
        raise ValueError("solve needs a start: x0, or an earlier result to go on from")
    begins = Standing(
        iteration=iteration,
        state=state,
        x=x,
        memory=stop.begin(state),
        status=(None,) * len(x),
        iterations=(0,) * len(x),
        seconds=0.0 if start is None else start.seconds,
        trace=() if start is None else start.trace,
        x0=x0 if start is None else start.x0,
    )
    run = _Run(stop, begins)
    run.look(iteration, state)
    return run.standing()


def advance(
    solver: Solver[P_contra, S], problem: P_contra, x0: Vector, steps: int, near: S | None = None
) -> S:
    """The state after a number of steps from x0, with no look at any residual on the way."""
    state = solver.init(problem, x0, near)
    for _ in range(steps):
        state = solver.step(problem, state)
    return state


class _Run(Generic[S]):
    """A solve under way: its state, and what each sample keeps: iterate, status, iteration."""

    def __init__(self, stop: Stop[Any], at: Standing[S]) -> None:
        self.stop, self.state, self.x, self.memory, self.x0 = stop, at.state, at.x, at.memory, at.x0
        self.iteration, self.seconds, self.trace = at.iteration, at.seconds, [*at.trace]
        self.status, self.iterations = [*at.status], [*at.iterations]

    @property
    def all_stopped(self) -> bool:
        return None not in self.status

    def look(self, iteration: int, state: S) -> bool:
        """Ask the stopping rule about the new iterate, and tell whether it looked."""
        self.iteration, self.state = iteration, state
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

    def standing(self) -> Standing[S]:
        return Standing(
            iteration=self.iteration,
            state=self.state,
            x=self.x,
            memory=self.memory,
            status=tuple(self.status),
            iterations=tuple(self.iterations),
            seconds=self.seconds,
            trace=self.trace,
            x0=self.x0,
        )

    def result(self) -> Result[S]:
        status = tuple(s for s in self.status if s is not None)
        iterations, trace = tuple(self.iterations), tuple(self.trace)
        return Result(self.x, status, iterations, self.seconds, self.state, trace, x0=self.x0)
