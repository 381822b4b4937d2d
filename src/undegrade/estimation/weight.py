"""The weight of a prior, chosen from the measurement alone."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Protocol, TypeVar, final, runtime_checkable

import torch
from torch import Tensor

from undegrade.core.image import PerSample, dot, ratio
from undegrade.core.ranges import POSITIVE, Range, check_ranges
from undegrade.linear_algebra.probes import random_signs

Predict = Callable[[PerSample], Tensor]
"""Weight ↦ φ(x̂), the prediction of the image restored with that weight, from where it last was."""
Path = Callable[[Tensor], Predict]
"""Measurement y ↦ the restorations of y. Paths of two measurements take the same steps, so that
the difference of two predictions is a derivative of one map, converged or not."""
S = TypeVar("S")
# Signs, because normal numbers from a common seed may be the very noise of a simulated y, and a
# probe along the noise is worthless; a seed that nobody simulates noise with, for the same reason.
_PROBE = 2718281828


def path(
    restored: Callable[[Tensor, PerSample, S | None], S], predict: Callable[[S], Tensor]
) -> Path:
    """The path of a method that begins each restoration where the last one ended.

    Arguments:
        restored: (measurement, weight, where the last one ended or None) ↦ where it ended.
        predict: where it ended ↦ φ(x̂).
    """

    def of(y: Tensor) -> Predict:
        last: S | None = None

        def predicted(weight: PerSample) -> Tensor:
            nonlocal last
            last = restored(y, weight, last)
            return predict(last)

        return predicted

    return of


@runtime_checkable
class WeightRule(Protocol):
    """How to choose: which score of a weight is driven to its minimum, or to zero."""

    def choose(self, path: Path, y: Tensor, precision: Tensor, start: PerSample) -> PerSample: ...


@final
@dataclass(frozen=True, kw_only=True)
class UnbiasedRisk:
    """Stein's unbiased estimate of the prediction risk, by a random probe of the divergence.

    With precision w, m trusted entries and random signs δ,

        SURE(λ) = ‖φ(x̂) − y‖²_w − m + 2 ⟨δ√w, φ(x̂(y + εδ/√w)) − φ(x̂(y))⟩/ε

    estimates E‖φ(x̂) − φ(x)‖²_w. The logarithm of λ is searched by steps of a factor √2, then by a
    parabola through the best three. Needs the noise level to be about right; two restorations per
    weight, about ten in all.

    References:
        Stein, Estimation of the mean of a multivariate normal distribution (1981).
        Ramani, Blu and Unser, Monte-Carlo SURE (2008), eq. (14).

    Arguments:
        probe: ε, in units of the noise standard deviation.
        evaluations: most weights that are tried.
    """

    probe: Annotated[float, POSITIVE] = 0.1
    evaluations: Annotated[int, Range(3, 1000)] = 14

    def __post_init__(self) -> None:
        check_ranges(self)

    def choose(self, path: Path, y: Tensor, precision: Tensor, start: PerSample) -> PerSample:
        trusted = (precision > 0).flatten(1).sum(1)
        deviation = torch.where(precision > 0, precision, torch.inf).rsqrt()
        from_here, from_there = path(y), path(y + self.probe * deviation * random_signs(y, _PROBE))

        def along_probe(prediction: Tensor) -> PerSample:
            # The difference of two of these is small: hence sums in double precision. Rows are
            # summed in their own, where they are: Apple's GPUs have no other.
            along = precision.sqrt() * random_signs(y, _PROBE) * prediction
            return along.sum(-1).to("cpu", torch.float64).flatten(1).sum(1)

        def risk(weight: PerSample) -> PerSample:
            # one prediction at a time: on large pictures memory is what is short
            here = from_here(weight)
            misfit = dot(precision * (here - y), here - y)
            divergence = -along_probe(here)
            del here
            divergence = (divergence + along_probe(from_there(weight))) / self.probe
            return misfit - trusted + 2 * divergence.to(misfit)

        return search_minimum(risk, start, self.evaluations)


@final
@dataclass(frozen=True, kw_only=True)
class Discrepancy:
    """Morozov's principle: the residual is as large as the noise, ‖φ(x̂) − y‖²_w = factor·m.

    One restoration per weight; smooths more than `UnbiasedRisk`, safer where the noise is not
    quite independent.

    References:
        Morozov, On the solution of functional equations by the method of regularization (1966).

    Arguments:
        factor: 1 for noise of exactly the stated level.
        evaluations: most weights that are tried.
    """

    factor: Annotated[float, POSITIVE] = 1.0
    evaluations: Annotated[int, Range(1, 1000)] = 10

    def __post_init__(self) -> None:
        check_ranges(self)

    def choose(self, path: Path, y: Tensor, precision: Tensor, start: PerSample) -> PerSample:
        trusted = (precision > 0).flatten(1).sum(1).clamp(min=1)

        predict = path(y)

        def excess(weight: PerSample) -> PerSample:
            misfit = predict(weight) - y
            return (dot(misfit, precision * misfit) / (self.factor * trusted)).log()

        return search_root(excess, start, self.evaluations)


RULES: dict[str, WeightRule] = {"risk": UnbiasedRisk(), "discrepancy": Discrepancy()}
"""What `--rule` names."""


def search_minimum(
    score: Callable[[PerSample], PerSample], start: PerSample, evaluations: int
) -> PerSample:
    """Per sample: walk in factors of √2 until the score rises on both sides, then a parabola."""
    stride = math.log(2.0) / 2
    at = [start.log() - stride, start.log(), start.log() + stride]
    scores = [score(t.exp()) for t in at]
    for _ in range(evaluations - 3):
        down, up = scores[0] < scores[1], scores[2] < scores[1]
        if not bool((down | up).any()):
            break
        going_up = up & ~(down & (scores[0] < scores[2]))
        going_down = down & ~going_up
        new = torch.where(going_down, at[0] - stride, at[2] + stride)
        fresh = score(torch.where(going_up | going_down, new, at[1]).exp())
        at, scores = (
            _shift(at, new, going_down, going_up),
            _shift(scores, fresh, going_down, going_up),
        )
    left, middle, right = scores
    bend = left - 2 * middle + right
    fitted = ratio(0.5 * (left - right), bend)
    offset = torch.where(bend > 0, fitted, right.sub(left).sign().neg())
    return (at[1] + stride * offset.clamp(-1, 1)).exp()


def _shift(triple: list[Tensor], new: Tensor, down: Tensor, up: Tensor) -> list[Tensor]:
    low, middle, high = triple
    return [
        torch.where(down, new, torch.where(up, middle, low)),
        torch.where(down, low, torch.where(up, high, middle)),
        torch.where(down, middle, torch.where(up, new, high)),
    ]


def search_root(
    score: Callable[[PerSample], PerSample], start: PerSample, evaluations: int
) -> PerSample:
    """Per sample: the weight where an increasing score is 0, to 2 %, by guarded secant steps."""
    done = torch.zeros_like(start, dtype=torch.bool)
    low, high = torch.full_like(start, -math.inf), torch.full_like(start, math.inf)
    t, slope = start.log(), torch.ones_like(start)
    previous: tuple[PerSample, PerSample] | None = None
    for _ in range(evaluations):
        value = score(t.exp())
        low, high = torch.where(value < 0, t, low), torch.where(value < 0, high, t)
        if previous is not None:
            secant = (value - previous[1]) / (t - previous[0])
            # the score rises: a flat or falling secant is noise of unfinished restorations
            slope = torch.where(secant.isfinite() & (secant > 0.05), secant, slope)
        previous = t, value
        step = t - (value / slope).clamp(-2, 2)  # a factor of 7 at most
        middle = torch.where((low + high).isfinite(), (low + high) / 2, step)
        following = torch.where((step > low) & (step < high), step, middle)
        small, t = (following - t).abs() < 0.02, torch.where(done, t, following)
        done = done | small
        if bool(done.all()):
            break
    return t.exp()
