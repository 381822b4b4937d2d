"""The search for a step, on functions of one number."""

import math
from collections.abc import Callable

import pytest

from undegrade.solvers.line_search import Search

Curve = Callable[[float], tuple[float, float]]  # α ↦ φ(α), φ′(α)


def run(curve: Curve, step: float = 1.0, **settings: float) -> tuple[Search, int]:
    """The settled search and how many evaluations it took."""
    value, slope = curve(0.0)
    search = Search(value=value, slope=slope, step=step, rounding=0.0, **settings)
    for n in range(1, 30):
        value, here = curve(search.step)
        search = search.judge(value, here, search.step * slope)
        if search.settled:
            return search, n
    raise AssertionError("the search never settled")


def parabola(a: float) -> tuple[float, float]:
    return (a - 3) ** 2, 2 * (a - 3)


def wall(a: float) -> tuple[float, float]:
    """Finite only below 1, like a logarithmic barrier."""
    return (-math.log(1 - a) - 5 * a, 1 / (1 - a) - 5) if a < 1 else (math.inf, math.nan)


def valley(a: float) -> tuple[float, float]:
    """Not convex: flat far out, with a narrow minimum near 0.02."""
    return -a / (a * a + 4e-4), (a * a - 4e-4) / (a * a + 4e-4) ** 2


def slow(a: float) -> tuple[float, float]:
    return -math.log1p(a) + 1e-6 * a * a, -1 / (1 + a) + 2e-6 * a


@pytest.mark.parametrize("curve", [parabola, wall, valley, slow])
@pytest.mark.parametrize("step", [1e-4, 0.3, 1.0, 50.0])
@pytest.mark.parametrize("curvature", [0.9, 0.1])
def test_the_step_satisfies_the_strong_wolfe_conditions(curve, step, curvature):
    search, evaluations = run(curve, step, curvature=curvature)
    (value, slope), (there, after) = curve(0.0), curve(search.step)
    assert there <= value + 1e-4 * search.step * slope
    assert abs(after) <= curvature * abs(slope)
    assert evaluations <= 20


def test_a_good_first_step_costs_one_evaluation():
    assert run(parabola, 2.5)[1] == 1


def test_decrease_alone_is_enough_where_asked_for():
    search, evaluations = run(parabola, 0.01, curvature=math.inf)
    assert (search.step, evaluations) == (0.01, 1)


def test_where_nothing_is_gained_the_step_is_zero():
    """A slope that promises what the values never keep."""
    search, _ = run(lambda a: (abs(a), -1.0))
    assert search.step == 0.0
    assert search.settled


def test_uphill_is_not_searched():
    search = Search(value=1.0, slope=0.5, step=0.0, rounding=0.0)
    assert search.judge(1.0, 0.5, 0.0).settled


def test_slopes_decide_where_values_cannot_be_told_apart():
    """The values of a float32 near its minimum: only noise. The slopes still know."""

    def coarse(a: float) -> tuple[float, float]:
        return 1e5 + 0.01 * (a > 0), 1e-3 * (a - 1)

    value, slope = coarse(0.0)
    sharp = Search(value=value, slope=slope, step=0.9, rounding=0.02)
    assert sharp.judge(*coarse(0.9), 0.9 * slope).settled
    blind = Search(value=value, slope=slope, step=0.9, rounding=0.0)
    assert not blind.judge(*coarse(0.9), 0.9 * slope).settled
