"""A large picture restored in windows, where no pixel tells of another but its neighbors."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from undegrade.core.image import round_up
from undegrade.core.measurement import Measurement
from undegrade.core.solver import Result
from undegrade.operators.identity import Identity


@dataclass(frozen=True)
class Window:
    """Rows and columns of a picture: what is shown, and what is kept of it.

    Arguments:
        top, left, bottom, right: of what is shown.
        rows, columns: kept, of the picture.
    """

    top: int
    left: int
    bottom: int
    right: int
    rows: slice
    columns: slice

    def shown(self, y: Tensor) -> Tensor:
        """The window of a picture."""
        return y[..., self.top : self.bottom, self.left : self.right]

    def kept(self, x: Tensor) -> Tensor:
        """The inner part of what was made of the window."""
        rows = slice(self.rows.start - self.top, self.rows.stop - self.top)
        columns = slice(self.columns.start - self.left, self.columns.stop - self.left)
        return x[..., rows, columns]


def windows(size: tuple[int, int], side: int, overlap: int) -> Iterator[Window]:
    """Windows whose kept parts, squares of a side, fill a picture; each shows an overlap more."""
    height, width = size
    for top in range(0, height, side):
        for left in range(0, width, side):
            bottom, right = min(top + side, height), min(left + side, width)
            yield Window(
                max(0, top - overlap),
                max(0, left - overlap),
                min(height, bottom + overlap),
                min(width, right + overlap),
                slice(top, bottom),
                slice(left, right),
            )


def is_local(measurement: Measurement) -> bool:
    """Whether every entry of y tells of the pixel at its place, with the same noise in a sample.

    Elsewhere a window would differ from the next in its mean level, and seams would show.
    """
    y, operator = measurement.y, measurement.operator
    precision = measurement.precision
    rest = tuple(range(1, precision.ndim))
    if bool((precision.amin(rest) != precision.amax(rest)).any()):
        return False
    return operator.linear and torch.equal(operator.initial(y), y) and torch.equal(operator(y), y)


def in_windows(
    measurement: Measurement,
    restore: Callable[[Measurement], Result[Any]],
    side: int,
    reach: int,
    grid: int,
) -> Iterator[Result[Any]]:
    """What a method makes of a measurement of single pixels, window by window.

    Arguments:
        measurement: `is_local`.
        restore: the method, whose every pixel depends on those nearer than `reach`.
        side: of the kept part of a window, in pixels.
        reach: of the method, in pixels.
        grid: pixels between places that the method treats alike.

    Yields:
        the result of a window, but x the same whole picture each time, more and more of which is
            restored, the rest being y; seconds of all windows so far.
    """
    x, y, seconds = measurement.y.clone(), measurement.y, 0.0
    size = y.shape[-2], y.shape[-1]
    for window in windows(size, round_up(side, grid), round_up(reach, grid)):
        part = Measurement(window.shown(y), Identity(), measurement.likelihood)
        result = restore(part)
        x[..., window.rows, window.columns] = window.kept(result.x)
        seconds += result.seconds
        yield replace(result, x=x, x0=y, seconds=seconds)
