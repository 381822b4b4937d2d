"""Tikhonov restoration: one linear system."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, final

from torch import Tensor

from undegrade.core.image import Image, PerSample
from undegrade.core.measurement import Measurement
from undegrade.core.objective import Objective
from undegrade.core.ranges import COUNT, POSITIVE, TOLERANCE, check_ranges
from undegrade.core.solver import Observer, Result, Solver, advance, solve
from undegrade.core.stopping import until
from undegrade.estimation.weight import UnbiasedRisk, WeightRule, path
from undegrade.linear_algebra.least_squares import LeastSquares
from undegrade.priors.box import NONNEGATIVE, Box
from undegrade.priors.finite_difference import FiniteDifference
from undegrade.priors.tikhonov import Tikhonov
from undegrade.restorers.initial import first_estimate
from undegrade.restorers.nominal import range_of
from undegrade.solvers.conjugate_gradient import ConjugateGradient
from undegrade.solvers.lbfgs import LBFGS

WARM_UP_ITERATIONS = 8  # per tried weight, each from where the last one ended
_START = 150.0  # of photographs in [0, 1]; the weight is that of squares of their differences


@final
@dataclass(frozen=True, kw_only=True)
class Quadratic:
    """min ½ Σ w(Ax − y)² + weight/2·‖∇x‖² with w = 1/variance, by conjugate gradients.

    Fast, linear and without surprises, for any linear degradation and noise. It cannot tell an
    edge from noise: what it gains in smoothness it loses in sharpness. `Variational` keeps edges.

    Good values: the defaults. The weight is 1/variance of the differences between neighboring
    pixels: some tens for textured photographs, a thousand and more for smooth ones.

    Arguments:
        weight: λ > 0, larger smooths more; without one, the one with the least estimated risk.
        rule: how a weight is chosen: `UnbiasedRisk()` (risk), or `Discrepancy()` (discrepancy),
            which smooths more.
        tolerance: on the gradient, relative to its value at the black image.
        iterations: most iterations.
        nonnegative: no pixel becomes negative, as for counts and stars; takes longer (L-BFGS).

    Raises:
        ValueError: the degradation is not linear.
    """

    weight: Annotated[float | None, POSITIVE] = None
    rule: WeightRule = UnbiasedRisk()
    tolerance: Annotated[float, TOLERANCE] = 1e-4
    iterations: Annotated[int, COUNT] = 200
    nonnegative: bool = False

    def __post_init__(self) -> None:
        check_ranges(self)

    def restore(self, measurement: Measurement, *, observe: Sequence[Observer] = ()) -> Result[Any]:
        x0 = first_estimate(measurement)
        weight = self.choose_weight(measurement, x0)
        objective = self.objective(measurement, weight)
        stop = until(iterations=self.iterations, residual=self.tolerance)
        result = solve(self._method, objective, x0, stop=stop, observe=observe)
        return replace(result, chosen={"weight": weight})

    @property
    def _method(self) -> Solver[Any, Any]:
        return LBFGS() if self.nonnegative else ConjugateGradient()

    @property
    def _constraint(self) -> Box | None:
        return NONNEGATIVE if self.nonnegative else None

    def objective(
        self, measurement: Measurement, weight: PerSample
    ) -> Objective[LeastSquares, Tikhonov]:
        """What is minimized."""
        y = measurement.y
        operator = measurement.operator.as_linear(
            "quadratic restoration needs one: use the variational method"
        )
        squares = LeastSquares(operator, y, measurement.precision.rsqrt())
        return Objective(squares, Tikhonov(FiniteDifference()), weight, self._constraint)

    def choose_weight(self, measurement: Measurement, x0: Image) -> PerSample:
        """The weight of every sample, given or chosen."""
        y, operator = measurement.y, measurement.operator
        if self.weight is not None:
            return y.new_full((len(y),), self.weight)

        def tried(data: Tensor, weight: PerSample, last: Image | None) -> Image:
            objective = self.objective(replace(measurement, y=data), weight)
            begin = x0 if last is None else last
            return advance(self._method, objective, begin, WARM_UP_ITERATIONS).x

        start = _START / range_of(measurement, x0).span.square()
        precision = measurement.precision
        return self.rule.choose(path(tried, operator), y, precision, start)
