"""A bar on the standard error, for a person who watches; silent where nobody does."""

import sys
from collections.abc import Mapping
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

from undegrade.core.image import PerSample
from undegrade.core.stopping import State

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

    def observe(self, iteration: int, state: State) -> Mapping[str, PerSample]:
        """Show the iteration; an observer of `solve` that adds nothing to the trace."""
        del state
        self._rich.update(self._task, detail=f"iteration {iteration}")
        return {}
