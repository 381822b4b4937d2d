"""Sparse corruption without a threshold: s = g∘g − h∘h from a small start."""

import math
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor

_MAGNITUDE = 0.5  # corruption that the usual delay is given for: half of the range


@runtime_checkable
class SparseRule(Protocol):
    """How the corruption s follows a residual r = A(x) + s − y; `factors` is what it remembers.

    `begin` has what the start misses, y − A(x₀), and `update` the number of the step, from 1 on.
    """

    def begin(self, missed: Tensor) -> Tensor: ...
    def corruption(self, factors: Tensor) -> Tensor: ...
    def update(self, factors: Tensor, residual: Tensor, count: Int[Tensor, ""]) -> Tensor: ...


def hyperbolic(exponent: Tensor, scale: float) -> Tensor:
    """γ²e²ᵘ − γ²e⁻²ᵘ = 2γ² sinh 2u: g∘g − h∘h for g = γeᵘ and h = γe⁻ᵘ."""
    return 2 * scale**2 * torch.sinh(2 * exponent)


def rate_of_delay(delay: float, magnitude: float, scale: float) -> float:
    """The rate at which corruption of a given magnitude is taken over after `delay` iterations.

    Under a constant residual −c the exponent grows by rate·c in every iteration, and 2γ² sinh 2u
    reaches c at u = ½ asinh(c/2γ²); so rate = asinh(c/2γ²)/(2·c·delay). Half the magnitude takes
    about twice the time: that is how corruption is told from detail that the network still lacks.
    """
    return math.asinh(magnitude / (2 * scale**2)) / (2 * magnitude * delay)


@final
@dataclass(frozen=True, kw_only=True)
class HyperbolicMirror:
    """u ← u − rate·r, s = 2γ² sinh 2u: the flow of g and h in closed form.

    g∘h stays γ² along the flow of `FactorDescent`, so that one exponent u per entry holds both
    factors. The closed form is exact for any rate, and rates hundreds of times those of the
    published steps stay stable, up to rate·|s| ≈ 1. Corruption grows where the residual adds up to
    asinh(c/2γ²)/(2·rate): a threshold on how long an entry is missed, not on its value.

    References:
        You, Zhu, Qu and Ma, Robust recovery via implicit bias of discrepant learning rates for
        double over-parameterization (2020), eq. (8). Ghai, Hazan and Singer, Exponentiated
        gradient meets gradient descent (2020), section 3: the same step as mirror descent.

    Good values: rate = `rate_of_delay(delay=200.0, magnitude=0.5, scale=1e-5)`; gross 0.02 for a
    start that misses little.

    Arguments:
        rate: of u.
        scale: γ, where g and h start; smaller is a sharper threshold.
        gross: what the start misses by more than this is corruption from the beginning; ∞ where
            the start means nothing.

    Raises:
        ValueError: a rate or a scale that is not positive.
    """

    rate: float = rate_of_delay(200.0, _MAGNITUDE, 1e-5)
    scale: float = 1e-5
    gross: float = math.inf

    def __post_init__(self) -> None:
        if not self.rate > 0 or not self.scale > 0:
            raise ValueError(f"expected a rate and a scale above 0, got {self}")

    def begin(self, missed: Tensor) -> Tensor:
        """s = what the start misses grossly, else 0."""
        taken = torch.where(missed.abs() > self.gross, missed, 0 * missed)
        return 0.5 * torch.asinh(taken / (2 * self.scale**2))

    def corruption(self, factors: Tensor) -> Tensor:
        """2γ² sinh 2u."""
        return hyperbolic(factors, self.scale)

    def update(self, factors: Tensor, residual: Tensor, count: Int[Tensor, ""]) -> Tensor:
        """One step, the same at any count."""
        del count
        return factors - self.rate * residual


@final
@dataclass(frozen=True, kw_only=True)
class FactorDescent:
    """g ← g − rate·r∘g, h ← h + rate·r∘h: the published gradient steps.

    References:
        You, Zhu, Qu and Ma, Robust recovery via implicit bias of discrepant learning rates for
        double over-parameterization (2020), eq. (7) and section 4.2.

    Good values: scale 1e-5. The published rate of 500 for a mean over N entries is 2000/N here,
    beside `SteepestDescent(rate=2/N)` for the network.

    Arguments:
        rate: of g and h.
        scale: standard deviation of the random start of g and h.
        seed: of that start.

    Raises:
        ValueError: a rate or a scale that is not positive.
    """

    rate: float
    scale: float = 1e-5
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.rate > 0 or not self.scale > 0:
            raise ValueError(f"expected a rate and a scale above 0, got {self}")

    def begin(self, missed: Tensor) -> Tensor:
        """g and h, stacked behind the batch; the same draw for every sample."""
        generator = torch.Generator().manual_seed(self.seed)
        draw = torch.randn((2, *missed.shape[1:]), generator=generator, dtype=missed.dtype)
        # a sample that is not finite must stay so, and a factor alone would hide it
        return self.scale * draw.to(missed) + 0 * missed.unsqueeze(1)

    def corruption(self, factors: Tensor) -> Tensor:
        """g∘g − h∘h."""
        g, h = factors.unbind(1)
        return g.square() - h.square()

    def update(self, factors: Tensor, residual: Tensor, count: Int[Tensor, ""]) -> Tensor:
        """One simultaneous step of both."""
        del count
        g, h = factors.unbind(1)
        return torch.stack((g - self.rate * residual * g, h + self.rate * residual * h), 1)
