"""−log P(lower < u + n < upper) for normal n: what clipping and rounding leave of a measurement."""

import math
from typing import NamedTuple, final

import torch
from torch import Tensor

from undegrade.likelihoods.increasing_root import increasing_root

_FAR = 1e4  # standard deviations: for all that follows as good as infinitely far away
_OUT = 40.0  # standard deviations beyond which a normal density is 0 in any precision
_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


class Cost(NamedTuple):
    """−log P, its slope and its curvature in u, entry by entry."""

    value: Tensor
    slope: Tensor
    curvature: Tensor


@final
class Interval:
    """f(u) = −log(Φ((upper − u)/std) − Φ((lower − u)/std)), entry by entry: smooth and convex.

    Inside, away from the ends, it is about constant; outside it grows as the square of the distance
    over 2 std². With one end infinite it is the one-sided cost of a clipped value.

    Arguments:
        lower, upper: the ends, broadcast; −∞ and ∞ where there is none.
        std: deviation of the noise before clipping and rounding, > 0.
    """

    def __init__(self, lower: Tensor, upper: Tensor, std: Tensor) -> None:
        self.lower, self.upper, self.std = lower, upper, std

    def __call__(self, u: Tensor) -> Cost:
        a = ((self.lower - u) / self.std).clamp(-_FAR, _FAR)
        b = ((self.upper - u) / self.std).clamp(-_FAR, _FAR)
        flipped = a + b > 0  # the tail in which both are small numbers, not nearly equal ones
        a, b = torch.where(flipped, -b, a), torch.where(flipped, -a, b)
        first, last = _log_cdf(a), _log_cdf(b)
        inside = last + _log1mexp(last - first)
        at_a, at_b = _density_over(a, inside), _density_over(b, inside)
        rise = at_b - at_a
        bend = rise.square() + b * at_b - a * at_a
        slope = torch.where(flipped, -rise, rise) / self.std
        # between 0 and 1 in exact arithmetic: −log of a log-concave probability
        return Cost(-inside, slope, bend.clamp(0, 1) / self.std.square())

    def prox(self, v: Tensor, step: Tensor | float) -> Tensor:
        """argmin over u of step·f(u) + ½(u − v)²."""

        def optimality(u: Tensor) -> tuple[Tensor, Tensor]:
            cost = self(u)
            return u - v + step * cost.slope, 1 + step * cost.curvature

        reach = optimality(v)[0].abs()  # the slope is 1 or more
        return increasing_root(optimality, v - reach, v + reach)

    def conjugate(self, p: Tensor) -> Tensor:
        """sup over u of p·u − f(u); infinite where p points to an end that is not there."""
        # where f still rises, its slope outside is at least the distance over std²
        reach = self.std.square() * p.abs()
        ends = (self.upper - self.lower).isfinite()
        low = torch.where(self.lower.isfinite(), self.lower, self.upper - _OUT * self.std)
        high = torch.where(self.upper.isfinite(), self.upper, self.lower + _OUT * self.std)

        def excess(u: Tensor) -> tuple[Tensor, Tensor]:
            cost = self(u)
            return cost.slope - p, cost.curvature

        u = increasing_root(excess, low - reach, high + reach)
        value = p * u - self(u).value
        open_up, open_down = self.upper.isinf(), self.lower.isinf()
        outward = ~ends & ((open_up & (p > 0)) | (open_down & (p < 0)))
        return torch.where(outward, torch.inf, torch.where(~ends & (p == 0), 0.0, value))


def _log_cdf(x: Tensor) -> Tensor:
    """log Φ(x), by the scaled complementary error function where Φ is small."""
    tail = (torch.special.erfcx(-x.clamp(max=0) / math.sqrt(2)) / 2).log() - x.square() / 2
    # the logarithm of nearly 1: by what is missing
    body = torch.log1p(-torch.special.erfc(x.clamp(min=0) / math.sqrt(2)) / 2)
    return torch.where(x < 0, tail, body)


def _log1mexp(x: Tensor) -> Tensor:
    """log(1 − exp(−x)) for x > 0."""
    return torch.log((-torch.expm1(-x)).clamp(min=torch.finfo(x.dtype).tiny))


def _density_over(x: Tensor, log_mass: Tensor) -> Tensor:
    """φ(x)/mass."""
    return (-x.square() / 2 - _HALF_LOG_TAU - log_mass).exp()
