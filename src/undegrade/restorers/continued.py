"""A long solve that is written to a file on the way, and goes on from it after an interruption."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from torch import nn

from undegrade.core.image import Image, PerSample
from undegrade.core.solver import Observer, Result, Solver, solve
from undegrade.core.stopping import State, Status, Stop
from undegrade.files.checkpoint import load_checkpoint, save_checkpoint

_SECONDS = 120.0  # between two files: what a kill costs at most; writing takes well under a second


def solve_continued(
    solver: Solver[Any, Any],
    problem: nn.Module,
    x0: Image,
    path: Path,
    *,
    stop: Stop[Any],
    observe: Sequence[Observer] = (),
) -> Result[Any]:
    """`solve`, from the state in a file where there is one, to the same bits as in one go.

    The file is written every two minutes, at an interruption, and at the end. It belongs to one
    problem and one solver. A rule with a memory, such as `Patience`, begins anew.

    Raises:
        OSError: the file cannot be written.
        ValueError: the file belongs to another problem or other settings, or is damaged.
    """
    file = _File(path, f"{solver} on {_digest(problem)}")
    start = file.read(solver.init(problem, x0))
    try:
        watch = (file.observe, *observe)
        return solve(solver, problem, x0, stop=stop, observe=watch, start=start)
    finally:
        file.write()


@final
class _File:
    """Knows the newest state, and writes it when the last writing is long enough ago."""

    def __init__(self, path: Path, owner: str) -> None:
        self._path, self._owner = path, owner
        self._newest: tuple[int, State] | None = None
        self._written = time.monotonic()

    def read(self, example: State) -> Result[Any] | None:
        """What to go on from; None where there is no file."""
        if not self._path.exists():
            return None
        known = {"owner": self._owner, "iteration": 0, "state": example}
        found: dict[str, Any] = load_checkpoint(self._path, known)
        state, count = found["state"], len(example.x)
        done = (found["iteration"],) * count
        return Result(state.x, (Status.EXHAUSTED,) * count, done, 0.0, state)

    def observe(self, iteration: int, state: State) -> Mapping[str, PerSample]:
        """An observer of `solve` that adds nothing to the trace."""
        self._newest = iteration, state
        if time.monotonic() - self._written >= _SECONDS:
            self.write()
        return {}

    def write(self) -> None:
        """Write the newest state, where there is one."""
        if self._newest is not None:
            iteration, state = self._newest
            content = {"owner": self._owner, "iteration": iteration, "state": state}
            save_checkpoint(self._path, content)
            self._written = time.monotonic()


def _digest(problem: nn.Module) -> str:
    """Tells one problem from another: what it is made of, and every number in it."""
    sha = hashlib.sha256(repr(problem).encode())
    for name, tensor in (*problem.named_buffers(), *problem.named_parameters()):
        sha.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()
