"""Richardson–Lucy deconvolution."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, final

import torch
from torch import Tensor

from undegrade.core.image import Image, PerSample, per_sample, ratio
from undegrade.core.measurement import Measurement
from undegrade.core.operator import LinearOperator
from undegrade.core.ranges import COUNT, TOLERANCE, Range, check_ranges
from undegrade.core.solver import Observer, Result, solve
from undegrade.core.stopping import until
from undegrade.restorers.initial import complete, first_estimate

_DARKEST = 1e-6  # of the mean: no prediction and no start is darker, so that quotients are finite


@final
@dataclass(frozen=True, kw_only=True)
class RichardsonLucy:
    """x ← x · Aᵀ((y + b)/(Ax + b)) / Aᵀ1: likelier at every step for photon noise, never negative.

    The baseline of astronomy and microscopy: points stay points, nothing becomes negative, and the
    light of the measurement is kept. There is no prior but that it stops early, here where what is
    left unexplained is as large as the noise; more iterations sharpen on and amplify noise. For
    every linear degradation by an A without negative entries. Photographs come out better by
    `Variational`.

    References:
        Richardson, Bayesian-based iterative method of image restoration (1972); Lucy, An iterative
        technique for the rectification of observed distributions (1974); Snyder, Hammoud and White,
        Image recovery from data acquired with a charge-coupled-device camera (1993), for b.

    Good values:
        the defaults; 20 to 50 iterations for extended objects, some hundreds for stars.

    Arguments:
        background: b ≥ 0, light that was subtracted from the measurement, such as that of the sky;
            by default as much as its most negative entry lacks.
        tolerance: what is left unexplained when it stops, in units of the noise.
        iterations: most iterations.

    Raises:
        ValueError: the degradation is not linear.
    """

    background: Annotated[float | None, Range(0, 1e12)] = None
    tolerance: Annotated[float, TOLERANCE] = 1.0
    iterations: Annotated[int, COUNT] = 200

    def __post_init__(self) -> None:
        check_ranges(self)

    def restore(self, measurement: Measurement, *, observe: Sequence[Observer] = ()) -> Result[Any]:
        estimate = first_estimate(measurement)
        start = estimate.clamp(min=0).mean((1, 2, 3), keepdim=True).expand_as(estimate).clone()
        stop = until(iterations=self.iterations, residual=self.tolerance)
        method = _Multiplicative(self.background)
        return solve(method, measurement, start, stop=stop, observe=observe)


class Multiplied(NamedTuple):
    """The estimate, what it leaves unexplained in units of the noise, and Ax, b and Aᵀ1."""

    x: Image
    residual: PerSample
    prediction: Tensor
    background: Tensor
    reach: Image


@final
@dataclass(frozen=True)
class _Multiplicative:
    """The multiplicative step; entries that are lost take no part."""

    background: float | None

    def init(self, problem: Measurement, x0: Image, near: Multiplied | None = None) -> Multiplied:
        del near
        operator, seen = _linear(problem), _seen(problem)
        lacking = (-torch.where(seen > 0, problem.y, 0)).flatten(1).amax(1).clamp(min=0)
        given = lacking if self.background is None else lacking * 0 + self.background
        prediction, background = operator(x0), per_sample(given, problem.y)
        residual = _unexplained(problem, prediction)
        return Multiplied(x0, residual, prediction, background, operator.adjoint(seen))

    def step(self, problem: Measurement, state: Multiplied) -> Multiplied:
        operator, seen = _linear(problem), _seen(problem)
        expected = state.prediction + state.background
        expected = torch.maximum(expected, _DARKEST * expected.mean((1, 2, 3), keepdim=True))
        found = (complete(problem) + state.background).clamp(min=0)
        x = state.x * ratio(operator.adjoint(seen * found / expected), state.reach)
        prediction = operator(x)
        residual = _unexplained(problem, prediction)
        return Multiplied(x, residual, prediction, state.background, state.reach)


def _linear(problem: Measurement) -> LinearOperator:
    return problem.operator.as_linear("use the variational method")


def _seen(problem: Measurement) -> Tensor:
    return (problem.likelihood.noise.precision(problem.y) > 0).to(problem.y)


def _unexplained(problem: Measurement, prediction: Tensor) -> PerSample:
    """√(mean w(Ax − y)²), w one over the variance that this prediction has."""
    seen = _seen(problem)
    w = seen * problem.likelihood.curvature(prediction, problem.y)
    squares = torch.where(seen > 0, w * (prediction - problem.y).square(), 0)
    return ratio(squares.flatten(1).sum(1), seen.flatten(1).sum(1)).sqrt()
