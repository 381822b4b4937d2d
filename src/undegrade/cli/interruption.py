"""Ctrl-C, whatever it is that it interrupts."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, final


@final
class Interruption:
    """While it is entered, remembers whether Ctrl-C was pressed.

    Where it interrupts the import of a library, what comes out may be any error ("module 'numpy'
    has no attribute 'void'") instead of the KeyboardInterrupt that went in.
    """

    def __init__(self) -> None:
        self.happened = False
        self._before: Any = None

    def __enter__(self) -> "Interruption":
        self.happened = False
        if threading.current_thread() is threading.main_thread():  # no other may set handlers
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.happened = True
        raise KeyboardInterrupt


interruption = Interruption()
"""Of this process."""
