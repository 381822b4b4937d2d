"""Line charts as inline SVG: no script, and in the colors of the page around them."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

_WIDTH, _HEIGHT = 520.0, 230.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 100.0, 12.0, 30.0
_POINTS = 240  # more than the eye can tell apart in this width


@dataclass(frozen=True)
class Curve:
    """A name, (iteration, value) in increasing order of the iteration, and a color of the page."""

    name: str
    points: Sequence[tuple[int, float]]
    color: int = 0


@dataclass(frozen=True)
class _Axis:
    """A map from values to pixels, linear or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool

    def __call__(self, value: float | int) -> float:
        low, high, value = (self._scaled(v) for v in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def _scaled(self, value: float | int) -> float:
        return math.log10(max(value, 1e-300)) if self.logarithmic else value

    @property
    def ticks(self) -> list[float]:
        """A few round numbers within the range."""
        if self.logarithmic:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            every = max(1, math.ceil((last - first + 1) / 5))
            return [10.0**k for k in range(first, last + 1, every)]
        step = _round_step((self.high - self.low) / 4)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def draw(curves: Sequence[Curve], *, logarithmic: bool) -> str:
    """The curves over a logarithmic axis of the iteration, each named at its end.

    Values that are not finite, or not positive on a logarithmic axis, leave a gap.
    """
    kept = [replace(c, points=_drawable(c.points, logarithmic)) for c in curves]
    values = [v for c in kept for _, v in c.points]
    if not values:
        return '<p class="none">Nothing was observed.</p>'
    last = max(2.0, *(i for c in kept for i, _ in c.points))
    across = _Axis(1.0, float(last), _LEFT, _WIDTH - _RIGHT, True)
    up = _Axis(min(values), max(values), _HEIGHT - _BOTTOM, _TOP, logarithmic)
    names = _spaced([up(c.points[-1][1]) if c.points else _TOP for c in kept])
    lines = [_line(c, across, up, y) for c, y in zip(kept, names, strict=True)]
    return (
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img">'
        f"{_grid(across, up)}{''.join(lines)}</svg>"
    )


def _drawable(points: Sequence[tuple[int, float]], logarithmic: bool) -> list[tuple[int, float]]:
    """Finite points, thinned evenly on the logarithmic axis of iterations."""
    kept = [(i, v) for i, v in points if math.isfinite(v) and i > 0 and (v > 0 or not logarithmic)]
    if len(kept) <= _POINTS:
        return kept
    places = {round(len(kept) ** (k / (_POINTS - 1))) - 1 for k in range(_POINTS)}
    return [kept[p] for p in sorted(places)]


def _line(curve: Curve, across: _Axis, up: _Axis, name_at: float) -> str:
    if not curve.points:
        return ""
    places = [f"{across(i):.1f},{up(v):.1f}" for i, v in curve.points]
    x, y = across(curve.points[-1][0]), up(curve.points[-1][1])
    name = html.escape(curve.name)
    return (
        f'<g class="line line-{curve.color}"><polyline points="{" ".join(places)}"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>'
        f'<text x="{_WIDTH - _RIGHT + 10:g}" y="{name_at + 4:.1f}">{name}</text></g>'
    )


def _grid(across: _Axis, up: _Axis) -> str:
    floor, end = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = [f'<path class="axis" d="M{_LEFT:g} {floor:g}H{end:g}"/>']
    for tick in across.ticks:
        x = across(tick)
        parts.append(f'<text class="tick" x="{x:.1f}" y="{floor + 18:g}">{tick:g}</text>')
    for tick in up.ticks:
        y = up(tick)
        parts.append(f'<path class="rule" d="M{_LEFT:g} {y:.1f}H{end:g}"/>')
        parts.append(f'<text class="tick value" x="{_LEFT - 8:g}" y="{y + 4:.1f}">{tick:g}</text>')
    return "".join(parts)


def _round_step(step: float) -> float:
    """The nearest of 1, 2 or 5 times a power of ten from above."""
    if step <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= step * (1 - 1e-9))


def _spaced(heights: Sequence[float], least: float = 14.0) -> list[float]:
    """Heights moved down just so far that no two names touch."""
    placed, below = dict[int, float](), -math.inf
    for k in sorted(range(len(heights)), key=lambda k: heights[k]):
        placed[k] = below = max(heights[k], below + least)
    return [placed[k] for k in range(len(heights))]
