"""Measurements of any range, for methods that were made for pictures in [0, 1]."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from undegrade.core.image import Image, PerSample, norm, per_sample
from undegrade.core.likelihood import NoiseModel
from undegrade.core.measurement import Measurement
from undegrade.core.solver import Observer
from undegrade.restorers.initial import first_estimate

_WINDOW = 3  # pixels a side: in their means, noise is a third of what it is
_SURE = 4.0  # standard deviations that noise in such means does not exceed
_SLACK = 0.1  # beyond [0, 1] that is overshoot and no other range
_DARK = 1 / 8  # of white: what stays below it is of another range
_FULL_SCALES = tuple(2.0**n - 1 for n in (8, 10, 12, 14, 16))
_FILLED = 0.31  # of its full scale that a picture reaches at least: no two scales meet there


class Range(NamedTuple):
    """Of each sample: the value that becomes 0, and the length that becomes 1."""

    low: PerSample
    span: PerSample

    @property
    def usual(self) -> bool:
        """Whether it is [0, 1] for all samples."""
        return bool(((self.low == 0) & (self.span == 1)).all())


@dataclass(frozen=True)
class Nominal:
    """A measurement whose picture lies in [0, 1], and the way back to the picture's own range.

    Arguments:
        measurement: y′ = (y − low·A1)/span with the noise that it has.
        range: of the picture.
        ends: least and largest value of x′ that a method may give, per sample.
    """

    measurement: Measurement
    range: Range
    ends: tuple[PerSample, PerSample]

    def clipped(self, x: Image) -> Image:
        """An estimate of x′ between the ends."""
        low, high = (per_sample(end, x) for end in self.ends)
        return x.clamp(low, high)

    def back(self, x: Image) -> Image:
        """An estimate of x′ as one of x, clipped to the ends."""
        inside = self.clipped(x)
        if self.range.usual:
            return inside
        return inside * per_sample(self.range.span, x) + per_sample(self.range.low, x)

    def watching(self, observe: Sequence[Observer]) -> tuple[Observer, ...]:
        """One observer for all that shows them the picture in its own range."""
        if self.range.usual:
            return tuple(observe)

        def watch(iteration: int, state: Any) -> Mapping[str, PerSample]:
            there = replace(state, x=self.back(state.x))
            return {name: value for o in observe for name, value in o(iteration, there).items()}

        return (watch,)


def range_of(measurement: Measurement, x: Image) -> Range:
    """The range of a first estimate x: [0, 1], or another one where it is of another.

    Raises:
        ValueError: the likelihood is no `NoiseModel`.
    """
    return _range(
        x, deviation(measurement.precision), shifted=measurement.likelihood.noise.additive
    )


def nominal(measurement: Measurement) -> Nominal:
    """A measurement of a picture in [0, 1], the same where the picture lies there already.

    A picture of which more than its noise lies outside, or that stays below an eighth of white, is
    of another range: a full scale of 8, 10, 12, 14 or 16 bits that it fills to a third, else its
    own. Noise that depends on the signal keeps 0 where it is; a non-linear operator, and noise that
    has no other units, keep both.
    """
    y, A = measurement.y, measurement.operator
    x = first_estimate(measurement)
    one = x.new_ones(len(x))
    usual = Range(0 * one, one)
    if not A.linear or not isinstance(measurement.likelihood, NoiseModel):
        return Nominal(measurement, usual, (0 * one, one))
    noise = measurement.likelihood.noise
    found = range_of(measurement, x)
    if found.usual:
        return Nominal(measurement, usual, (0 * one, one))
    factor = one / found.span
    scaled = noise.scaled(factor)
    if scaled is None:
        return Nominal(measurement, usual, (0 * one, one))
    if bool((found.low != 0).any()):
        y = y - A(per_sample(found.low, x).expand_as(x))
    moved = Measurement(per_sample(factor, y) * y, A, scaled)
    inner = (x - per_sample(found.low, x)) / per_sample(found.span, x)
    ends = inner.flatten(1).amin(1).clamp(max=0), inner.flatten(1).amax(1).clamp(min=1)
    return Nominal(moved, found, ends)


def deviation(precision: Tensor) -> PerSample:
    """Root-mean-square deviation of the entries that are trusted; 0 where none is."""
    trusted = (precision > 0).flatten(1).sum(1).clamp(min=1)
    variance = torch.where(precision > 0, precision, torch.inf).reciprocal()
    return norm(variance.sqrt()) / trusted.sqrt()


def _range(x: Image, std: PerSample, *, shifted: bool) -> Range:
    means = avg_pool2d(x, _WINDOW, 1) if min(x.shape[-2:]) >= _WINDOW else x
    noise = _SURE / _WINDOW * std
    low, high = means.flatten(1).amin(1), means.flatten(1).amax(1)
    below = (low < -_SLACK - noise) & shifted
    low = torch.where(below, low, 0.0)
    high = high - low
    inside = (high <= 1 + _SLACK + noise) & (high >= _DARK)
    span = torch.where(inside | (high <= 0), 1.0, _full_scale(high))
    return Range(low, span)


def _full_scale(high: Tensor) -> Tensor:
    """The full scale of a number of bits that the value fills by a third at least, or itself."""
    span = high
    for scale in reversed(_FULL_SCALES):
        fills = (high > _FILLED * scale) & (high <= 1.25 * scale)
        span = torch.where(fills, scale, span)
    return span
