"""How a failure is told: one line, and an exit status."""

import sys
from collections.abc import Iterable
from pathlib import Path

from undegrade.degradations.suggestion import did_you_mean

FAILED, INTERRUPTED = 2, 130


def say(error: BaseException, about: Path | None = None) -> None:
    """Tell a failure on the standard error, in one line that names the file it is about."""
    text = in_words(error)
    if about is not None and str(about) not in text:
        text = f"{about}: {text}"
    sys.stderr.write(f"undegrade: {' '.join(text.split())}\n")


def in_words(error: BaseException) -> str:
    """What an error says, without numbers of the operating system."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.strerror}: {error.filename}"
    if isinstance(error, MemoryError):
        return "there is not enough memory for this picture"
    return str(error) or type(error).__name__


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """A sentence that says that a name is unknown, with the nearest that is known."""
    return f"there is no {kind} {name!r}; {did_you_mean(name, known)}"
