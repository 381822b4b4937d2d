"""A bar on the standard error, for a person who watches; silent where nobody does."""

import sys
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from undegrade.core.image import Image, PerSample
from undegrade.core.solver import Observer
from undegrade.core.stopping import State
from undegrade.metrics.distortion import psnr
from undegrade.restorers.untrained_network import watched
from undegrade.untrained.averaged import AveragedState

_EVERY = 0.1  # seconds between two updates of the text


@final
class Bar:
    """Counts finished pieces of work, and names the one that is under way."""

    def __init__(self, total: int) -> None:
        self._rich = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}"),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=False,
            refresh_per_second=1 / _EVERY,
        )
        self._task: TaskID = self._rich.add_task("", total=total, detail="")
        self._begun = 0

    def __enter__(self) -> "Bar":
        self._rich.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._rich.stop()

    def begin(self, name: str) -> None:
        """Name the piece of work that begins; the one before it is done."""
        done = 0 if self._begun == 0 else 1
        self._begun += 1
        self._rich.update(self._task, advance=done, description=name, detail="")

    def show(self, done: int, detail: str) -> None:
        """Set how much is done, with a few words about it."""
        self._rich.update(self._task, completed=done, detail=detail)

    def observer(self, iterations: int | None = None, truth: Image | None = None) -> Observer:
        """An observer of `solve` that adds nothing to the trace: it shows where the solve is.

        Arguments:
            iterations: most that there will be, where a method says so: the time left is for these.
            truth: what PSNR is against.
        """
        # a start may take as long as a hundred iterations, and a run that is continued begins late
        first: tuple[int, float] | None = None
        shown = -_EVERY

        def observe(iteration: int, state: State) -> Mapping[str, PerSample]:
            nonlocal first, shown
            now = time.monotonic()
            first = first or (iteration, now)
            if now - shown >= _EVERY and not self._rich.disable:
                steps = iteration - first[0]
                each = (now - first[1]) / steps if steps else None
                said = words(iteration, state, iterations, each, truth)
                self._rich.update(self._task, detail="  ".join(said))
                shown = now
            return {}

        return observe


def words(
    iteration: int, state: State, iterations: int | None, each: float | None, truth: Image | None
) -> Iterator[str]:
    """What the line says: iteration, loss and variance where they mean something, PSNR, time.

    `each` is the seconds that an iteration takes, None where that is not known yet.
    """
    yield f"iteration {iteration}" + ("" if iterations is None else f" of {iterations}")
    if isinstance(state, AveragedState):
        for name, value in watched(iteration, state).items():
            yield f"{name} {float(value[0]):.3g}"
    if truth is not None and truth.shape == state.x.shape:
        yield f"{float(psnr(state.x, truth)[0]):.2f} dB"
    if iterations is not None and each is not None:
        left = each * max(iterations - iteration, 0)
        yield f"{left:.0f} s left" if left < 120 else f"{left / 60:.0f} min left"
