"""How a failure is told: one line, and an exit status."""

import difflib
import sys
from collections.abc import Iterable

FAILED, INTERRUPTED = 2, 130


def say(error: BaseException) -> None:
    """Tell a failure on the standard error, in one line."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror if error.filename is None else f"{error.strerror}: {error.filename}"
    if isinstance(error, MemoryError):
        text = "there is not enough memory for this picture"
    sys.stderr.write(f"undegrade: {' '.join(text.split())}\n")


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """A sentence that says that a name is unknown, with the nearest that is known."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"there is no {kind} {name!r}; {hint}"
