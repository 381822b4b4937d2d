"""Robust low-rank matrices: X = U Uᵀ and s = g∘g − h∘h from measurements, neither rank known."""

import math
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from undegrade.core.functional import require_kind
from undegrade.core.image import Image, PerSample, norm, per_sample, ratio
from undegrade.core.objective import Fidelity
from undegrade.untrained.difference_of_squares import hyperbolic


class LowRankPlusSparseState(NamedTuple):
    """X with its relative misfit, and what it comes from: U, and the exponent of g and h."""

    x: Image
    residual: PerSample
    corruption: Float[Tensor, "b *m"]
    factor: Float[Tensor, "b c n n"]
    exponent: Float[Tensor, "b *m"]
    step: PerSample


@final
@dataclass(frozen=True, kw_only=True)
class LowRankPlusSparse:
    """Fits A(U Uᵀ) + g∘g − h∘h to y; from small starts, U has low rank and s few entries.

    U ← U − τ sym(Aᵀr) U, u ← u − ατ r, s = 2γ² sinh 2u, r = A(U Uᵀ) + s − y. For small starts the
    limit solves min ‖X‖_* + λ‖s‖₁ subject to A(X) + s = y, X ⪰ 0, with λ = 1/α: the ratio of the
    rates is the regularization. It works for symmetric positive semidefinite X of low rank under
    sparse corruption. It fails where the convex program does, and at α far from the good one: too
    large and s takes all, too small and U does. The last digits come slowly.

    X is an image of n × n entries, each channel a matrix. The residual is ‖r‖/‖y‖.

    References:
        You, Zhu, Qu and Ma, Robust recovery via implicit bias of discrepant learning rates for
        double over-parameterization (2020), eq. (5) and theorem 2.

    Good values: discrepancy √n or somewhat less for robust principal components (A = identity);
    for m Gaussian measurements of variance 1/m, 2 to 4. Stop at a residual of 1e-3.

    Arguments:
        discrepancy: α > 0, the rate of g and h over that of U.
        rate: τ relative to what is just stable; below 1.
        scale: where U, g and h start; the smaller, the closer to the limit and the later.
        seed: of the start of U.

    Raises:
        ValueError: a discrepancy, rate or scale that is not positive; `init` of what is not square.
    """

    discrepancy: float
    rate: float = 0.5
    scale: float = 1e-10
    seed: int = 0

    def __post_init__(self) -> None:
        if not min(self.discrepancy, self.rate, self.scale) > 0:
            raise ValueError(f"expected a discrepancy, rate and scale above 0, got {self}")

    def init(
        self, problem: Fidelity, x0: Image, near: LowRankPlusSparseState | None = None
    ) -> LowRankPlusSparseState:
        """A small random start, or that of `near`; x0 gives the size alone."""
        require_kind(
            "LowRankPlusSparse", "problem", problem, Fidelity, "it has no prior beside the low rank"
        )
        if x0.shape[2] != x0.shape[3]:
            raise ValueError(f"U Uᵀ is square, got a matrix of {x0.shape[2]}×{x0.shape[3]}")
        y = problem.y
        # U is stable while τ‖AᵀA X‖ < 1, and s while ατ|s| < 1; A X and s are at most about y
        largest = norm(problem.operator.linearize(x0)[1].adjoint(y))
        bound = torch.maximum(largest, self.discrepancy * y.abs().flatten(1).amax(1))
        step = self.rate / bound.clamp(min=torch.finfo(y.dtype).tiny)
        unknown = 0 * step + math.inf
        if near is not None:
            return near._replace(residual=unknown, step=step)
        generator = torch.Generator().manual_seed(self.seed)
        draw = torch.randn(x0.shape[1:], generator=generator, dtype=x0.dtype).to(x0.device)
        factor = (self.scale * draw).expand_as(x0) + 0 * x0
        zero = torch.zeros_like(y)
        return LowRankPlusSparseState(factor @ factor.mT, unknown, zero, factor, zero, step)

    def step(self, problem: Fidelity, state: LowRankPlusSparseState) -> LowRankPlusSparseState:
        prediction, jacobian = problem.operator.linearize(state.x)
        missed = prediction + state.corruption - problem.y
        slope = jacobian.adjoint(missed)
        slope = (slope + slope.mT) / 2
        factor = state.factor - per_sample(state.step, slope) * slope @ state.factor
        rate = self.discrepancy * per_sample(state.step, missed)
        exponent = state.exponent - rate * missed
        misfit = ratio(norm(missed), norm(problem.y))
        corruption = hyperbolic(exponent, self.scale)
        return LowRankPlusSparseState(
            factor @ factor.mT, misfit, corruption, factor, exponent, state.step
        )
