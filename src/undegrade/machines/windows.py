"""A large picture restored in windows, where an entry of y tells of the pixels around it alone."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import torch

from undegrade.core.image import round_up
from undegrade.core.measurement import Measurement
from undegrade.core.operator import Operator
from undegrade.core.solver import Result
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.networks.spans import spans
from undegrade.operators.identity import Identity


def interior_of(measurement: Measurement) -> Operator | None:
    """What makes y of a piece of the picture, where pieces may be restored one by one; else None.

    They may where the noise is the same at all entries of a sample that are trusted: elsewhere a
    window would differ from the next in its mean level, and seams would show.
    """
    y, operator, precision = measurement.y, measurement.operator, measurement.precision
    most = precision.amax(tuple(range(1, precision.ndim)), keepdim=True)
    if not bool(((precision == most) | (precision == 0)).all()):
        return None
    if operator.interior is not None:
        return operator.interior
    alone = operator.linear and torch.equal(operator.initial(y), y) and torch.equal(operator(y), y)
    return Identity() if alone else None


def in_windows(
    measurement: Measurement,
    interior: Operator,
    restore: Callable[[Measurement], Result[Any]],
    side: int,
    reach: int,
    grid: int,
) -> Iterator[Result[Any]]:
    """What a method makes of a measurement, window by window; nothing lies past the border.

    Arguments:
        measurement: with the same noise at all trusted entries of a sample.
        interior: `interior_of` it.
        restore: the method, whose every pixel depends on those nearer than `reach`.
        side: of the kept part of a window, in pixels.
        reach: of the method, in pixels.
        grid: pixels between places that the method treats alike.

    Yields:
        the result of a window, but x the same whole picture each time, more and more of which is
            restored, the rest being the first estimate; seconds of all windows so far.
    """
    y, x0, seconds = measurement.y, measurement.operator.initial(measurement.y), 0.0
    x = x0.clone()
    rows, columns = (spans(n, round_up(side, grid), round_up(reach, grid)) for n in y.shape[-2:])
    for row, column in product(rows, columns):
        result = restore(_shown(measurement, interior, row.shown, column.shown))
        there, here = zip(
            row.places(result.x.shape[-2], x.shape[-2]),
            column.places(result.x.shape[-1], x.shape[-1]),
            strict=True,
        )
        x[..., *there] = result.x[..., *here]
        seconds += result.seconds
        yield replace(result, x=x, x0=x0, seconds=seconds)


def _shown(
    measurement: Measurement, interior: Operator, rows: slice, columns: slice
) -> Measurement:
    """A window of y, with a window of the map of noise where there is one."""
    y, likelihood = measurement.y[..., rows, columns], measurement.likelihood
    if likelihood.noise.quadratic and any(level.ndim > 1 for level in likelihood.buffers()):
        likelihood = Gaussian(measurement.precision[..., rows, columns].rsqrt())
    return Measurement(y, interior, likelihood)
