"""When an iteration ends, sample by sample, and which of its iterates is the result."""

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar, final, runtime_checkable

import torch
from jaxtyping import Bool
from torch import Tensor

from undegrade.core.image import PerSample, Vector


@runtime_checkable
class State(Protocol):
    """What every iterate shows to the outside, whatever else it carries."""

    @property
    def x(self) -> Vector: ...
    @property
    def residual(self) -> PerSample: ...


class Status(enum.Enum):
    """Why a sample's iteration ended."""

    CONVERGED = "converged: the residual is below the tolerance"
    STALLED = "stalled: no further progress is possible in this precision"
    EXHAUSTED = "all steps done, as many as were asked for"
    OUTWAITED = "stopped: the score has not improved for as long as was asked"
    DIVERGED = "diverged: the iteration is no longer finite, its last finite iterate is kept"


class Verdict(NamedTuple):
    """What a rule says of every sample: why it ends (None: it goes on), and whether to keep x."""

    statuses: Sequence[Status | None]
    keep: Sequence[bool]


M = TypeVar("M")  # what a rule remembers from one look to the next


@runtime_checkable
class Stop(Protocol[M]):
    """A stopping rule. It looks at every iterate from the start on; its memory is its caller's.

    `look` gives None instead of a verdict where it did not look. A rule holds no history itself, so
    that any number of solves can share it; a memory is tensors of one shape from the beginning to
    the end, alone or in tuples, so that a solve can be saved.
    """

    def begin(self, state: State) -> M: ...
    def look(self, iteration: int, state: State, memory: M) -> tuple[Verdict | None, M]: ...


@final
@dataclass(frozen=True, kw_only=True)
class Until:
    """Stop when the residual is small, no longer moves, or the budget is spent.

    Every iterate that is finite is worth keeping.

    Good values: every = 1; more where a residual is as expensive as an iteration (a duality gap),
    or on a GPU, which waits at every look.

    Arguments:
        iterations: the budget, counted from the very start where a result is continued.
        residual: tolerance on the method's own residual, one number or one per sample.
        every: how many iterations lie between two looks.

    Raises:
        ValueError: a negative budget, or every below 1.
    """

    iterations: int
    residual: float | PerSample = 0.0
    every: int = 1

    def __post_init__(self) -> None:
        if self.iterations < 0 or self.every < 1:
            raise ValueError(
                f"expected iterations ≥ 0 and every ≥ 1, got {self.iterations} and {self.every}"
            )

    def begin(self, state: State) -> Tensor:
        """No residual seen yet."""
        # from x: a residual may cost as much as an iteration
        return state.x.new_full((_STALLED_AFTER - 1, len(state.x)), math.nan)

    def look(self, iteration: int, state: State, memory: Tensor) -> tuple[Verdict | None, Tensor]:
        """A verdict at every n-th iteration and at the last one; the last residuals seen."""
        last = iteration >= self.iterations
        if iteration % self.every and not last:
            return None, memory
        residual = state.residual
        seen = torch.cat((memory, residual.detach()[None]))
        finite = torch.isfinite(state.x).flatten(1).all(1) & ~residual.isnan()
        small = residual <= torch.as_tensor(self.residual).to(residual)
        rows = torch.stack((finite, small, _unmoved(seen))).T.tolist()
        otherwise = Status.EXHAUSTED if last else None
        return Verdict(
            [_status(*row) or otherwise for row in rows], [sound for sound, _, _ in rows]
        ), seen[1:]


until = Until  # reads as a sentence: `stop=until(iterations=50)`

_STALLED_AFTER = 3  # looks at the same number, bit for bit: two may be chance in float32


def _unmoved(seen: Tensor) -> Bool[Tensor, "b"]:
    newest = seen[-1]
    return (seen == newest).all(0) & newest.isfinite()


def _status(finite: bool, small: bool, unmoved: bool) -> Status | None:
    if not finite:
        return Status.DIVERGED
    if small:
        return Status.CONVERGED
    return Status.STALLED if unmoved else None


@final
@dataclass(frozen=True)
class AnyOf:
    """Stop a sample when the first of several rules does; keep what all that looked would keep."""

    rules: tuple[Stop[Any], ...]

    def begin(self, state: State) -> tuple[Any, ...]:
        """The memories of the rules."""
        return tuple(rule.begin(state) for rule in self.rules)

    def look(
        self, iteration: int, state: State, memory: tuple[Any, ...]
    ) -> tuple[Verdict | None, tuple[Any, ...]]:
        """The first status that a rule has for a sample."""
        looks = [rule.look(iteration, state, m) for rule, m in zip(self.rules, memory, strict=True)]
        after = tuple(m for _, m in looks)
        verdicts = [verdict for verdict, _ in looks if verdict is not None]
        if not verdicts:
            return None, after
        statuses = zip(*(v.statuses for v in verdicts), strict=True)
        keep = zip(*(v.keep for v in verdicts), strict=True)
        first = [next((s for s in row if s is not None), None) for row in statuses]
        return Verdict(first, [all(row) for row in keep]), after


def any_of(*rules: Stop[Any]) -> AnyOf:
    """Several rules as one, such as `any_of(until(iterations=5000), Patience(score, 500))`."""
    return AnyOf(rules)
