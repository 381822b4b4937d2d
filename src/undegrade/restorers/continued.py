"""A long solve that is written to a file on the way, and goes on from it after an interruption."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn

from undegrade.core.image import Image
from undegrade.core.measurement import Restorer
from undegrade.core.solver import Observer, Record, Result, Solver, Standing, solve
from undegrade.core.stopping import Status, Stop
from undegrade.files.checkpoint import load_checkpoint, save_checkpoint

_SECONDS = 120.0  # between two files: what a kill costs at most; writing takes well under a second


@runtime_checkable
class Continued(Restorer, Protocol):
    """A method that takes long, and that goes on from a file: a dataclass with that field."""

    @property
    def checkpoint(self) -> Path | None: ...
    @property
    def most_iterations(self) -> int: ...


def solve_continued(
    solver: Solver[Any, Any],
    problem: nn.Module,
    x0: Image,
    path: Path | None,
    *,
    stop: Stop[Any],
    observe: Sequence[Observer] = (),
) -> Result[Any]:
    """`solve`, from where a file stands if there is one, to the same bits as in one go.

    The file is written every two minutes, at an interruption, and at the end. It belongs to one
    problem and one solver; a run that ended by its number of iterations goes on where more are
    asked for. Without a path this is `solve`.

    Raises:
        OSError: the file cannot be written.
        ValueError: the file belongs to another problem or other settings, or is damaged.
    """
    if path is None:
        return solve(solver, problem, x0, stop=stop, observe=observe)
    file = _File(path, f"{solver} on {_digest(problem)}")
    start = file.read(solver, problem, x0, stop)
    try:
        return solve(solver, problem, x0, stop=stop, observe=observe, start=start, pause=file.stand)
    finally:
        file.write()


@final
class _File:
    """Knows where the solve stands, and writes it when the last writing is long enough ago."""

    def __init__(self, path: Path, owner: str) -> None:
        self._path, self._owner = path, owner
        self._newest: Standing[Any] | None = None
        self._written = time.monotonic()

    def read(
        self, solver: Solver[Any, Any], problem: nn.Module, x0: Image, stop: Stop[Any]
    ) -> Standing[Any] | None:
        """Where to go on; None where there is no file."""
        if not self._path.exists():
            return None
        state = solver.init(problem, x0)
        known = _Content(self._owner, 0, state, state.x, stop.begin(state), 0.0, {}, {}, {})
        found = load_checkpoint(self._path, known)
        verdict, _ = stop.look(found.iteration, found.state, found.memory)
        ended = [_status(name) for name in found.ended.values()]
        if verdict is not None:  # what ended by its budget goes on under a larger one
            again = zip(ended, verdict.statuses, strict=True)
            ended = [b if a is Status.EXHAUSTED else a for a, b in again]
        return Standing(
            iteration=found.iteration,
            state=found.state,
            x=found.x,
            memory=found.memory,
            status=tuple(ended),
            iterations=tuple(found.iterations.values()),
            seconds=found.seconds,
            trace=_records(found.trace),
            x0=x0,
        )

    def stand(self, standing: Standing[Any]) -> None:
        """What `solve` tells after every iteration."""
        self._newest = standing
        if time.monotonic() - self._written >= _SECONDS:
            self.write()

    def write(self) -> None:
        """Write where the solve stands, if it has made a step."""
        at = self._newest
        if at is None:
            return
        content = _Content(
            owner=self._owner,
            iteration=at.iteration,
            state=at.state,
            x=at.x,
            memory=at.memory,
            seconds=at.seconds,
            trace=_tensors(at.trace),
            ended={str(i): "" if s is None else s.name for i, s in enumerate(at.status)},
            iterations={str(i): n for i, n in enumerate(at.iterations)},
        )
        save_checkpoint(self._path, content)
        self._written = time.monotonic()


@dataclass(frozen=True)
class _Content:
    """What a file holds."""

    owner: str
    iteration: int
    state: Any
    x: Tensor
    memory: Any
    seconds: float
    trace: dict[str, Tensor]
    ended: dict[str, str]
    iterations: dict[str, int]


def _status(name: str) -> Status | None:
    return Status[name] if name else None


def _tensors(trace: Sequence[Record]) -> dict[str, Tensor]:
    """By what was observed: iteration, seconds and the values of every record that has it."""
    rows = dict[str, list[Tensor]]()
    for record in trace:
        head = torch.tensor([record.iteration, record.seconds], dtype=torch.float64)
        for name, value in record.values.items():
            row = torch.cat((head, value.detach().cpu().double()))
            rows.setdefault(name, []).append(row)
    return {name: torch.stack(row) for name, row in rows.items()}


def _records(tensors: Mapping[str, Tensor]) -> list[Record]:
    """The trace that `_tensors` made them from."""
    found = dict[tuple[int, float], dict[str, Tensor]]()
    for name, rows in tensors.items():
        for row in rows:
            iteration, seconds = int(row[0]), float(row[1])
            found.setdefault((iteration, seconds), {})[name] = row[2:].float()
    return [Record(*key, values) for key, values in sorted(found.items(), key=lambda row: row[0])]


def _digest(problem: nn.Module) -> str:
    """Tells one problem from another: what it is made of, and every number in it."""
    sha = hashlib.sha256(repr(problem).encode())
    for name, tensor in (*problem.named_buffers(), *problem.named_parameters()):
        sha.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()
