"""Primal–dual steps in the metric of the problem itself, for blur that wraps around."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from undegrade.core.functional import Composite
from undegrade.core.image import Image, PerSample, norm, per_sample
from undegrade.core.objective import Objective
from undegrade.linear_algebra.least_squares import LeastSquares
from undegrade.linear_algebra.probes import impulse_response
from undegrade.solvers.primal_dual import ADVICE, DualState, dual_start
from undegrade.solvers.refusal import refuse_constraint, refuse_derivatives, require_objective

_ADVICE = "use PrimalDual"

Problem = Objective[LeastSquares, Composite]


@final
@dataclass(frozen=True)
class PreconditionedPrimalDualState:
    """Iterate x, the relaxed points (anchor, p) that the next step starts from, the symbols."""

    x: Image
    residual: PerSample
    anchor: Image
    spectrum: Tensor  # of the anchor
    p: Tensor
    step: PerSample  # of the dual field
    data_symbol: Tensor = field(repr=False)  # of AᵀA
    prior_symbol: Tensor = field(repr=False)  # of KᵀK, continued periodically


@final
@dataclass(frozen=True, kw_only=True)
class PreconditionedPrimalDual:
    """min ½‖Ax − y‖²/std² + λ g(Kx), A periodic blur and K differences: one transform pair a step.

        x ← (AᵀA/std² + σS)⁻¹ (Aᵀy/std² + σS x − Kᵀp),  p ← prox_{σ(λg)*}(p + σK(2x⁺ − x))

    with S the periodic continuation of KᵀK, both over-relaxed. It is the primal–dual method with
    S⁻¹/σ in place of the step of x, and (but for the borders) the alternating direction method of
    multipliers: about a quarter of the iterations of `PrimalDual` where the blur is strong. Fails,
    and says so, where AᵀA is no periodic convolution.

    The residual is ‖x − x′‖/‖x‖, x′ the relaxed point that the step started from; on photographs
    what is left to gain is about as large a part of the value. (A gap that certifies it is finite
    here, but hundreds of times too large.) The step consumes its state: all but x is overwritten.
    A state nearby gives its dual field.

    References:
        Chambolle and Pock, On the ergodic convergence rates of a first-order primal–dual algorithm
        (2016), for the metric. Boyd, Parikh, Chu, Peleato and Eckstein, Distributed optimization
        and statistical learning via the alternating direction method of multipliers (2011).

    Good values:
        the defaults, for photographs.

    Arguments:
        ratio: σ = λ/ratio, so that a difference of this size moves p through half of its range. It
            changes the speed, not the answer.
        relaxation: over-relaxation of the step, from 1 (none) to below 2.

    Raises:
        ValueError: A is no periodic convolution; a constraint; ratio or relaxation out of range;
            a problem or a start that asks for derivatives.
    """

    ratio: float = 0.03
    relaxation: float = 1.8

    def __post_init__(self) -> None:
        if not (self.ratio > 0 and 1 <= self.relaxation < 2):
            raise ValueError(
                "expected ratio > 0 and a relaxation in [1, 2), got "
                f"{self.ratio} and {self.relaxation}"
            )

    def init(
        self, problem: Problem, x0: Image, near: DualState | None = None
    ) -> PreconditionedPrimalDualState:
        require_objective(
            "PreconditionedPrimalDual",
            problem,
            fidelity=(LeastSquares, "for other noise use PrimalDual or LBFGS"),
            prior=(Composite, ADVICE),
        )
        refuse_constraint("PreconditionedPrimalDual", problem, "use LBFGS")
        refuse_derivatives("PreconditionedPrimalDual", problem, x0, _ADVICE)
        inside = problem.prior.inner
        data_symbol = _periodic_symbol(problem.fidelity, x0)
        return PreconditionedPrimalDualState(
            x0,
            x0.new_full((len(x0),), math.inf),
            x0.clone(),
            torch.fft.rfft2(x0),
            dual_start(problem.prior, x0, near),
            _positive(problem.weights(x0)) / self.ratio,
            data_symbol,
            _bounded_away(_symbol(lambda u: inside.adjoint(inside(u)), x0)),
        )

    def step(
        self, problem: Problem, state: PreconditionedPrimalDualState
    ) -> PreconditionedPrimalDualState:
        refuse_derivatives("PreconditionedPrimalDual", problem, state.x, _ADVICE)
        anchor, p = state.anchor, state.p
        fidelity, prior, ones = problem.fidelity, problem.prior, torch.ones_like(state.step)
        precision = per_sample(fidelity.precision, anchor)
        metric = per_sample(state.step, anchor) * state.prior_symbol
        spectrum = torch.fft.rfft2(prior.descend(precision * fidelity.back, p, ones))
        spectrum += metric * state.spectrum
        spectrum /= precision * state.data_symbol + metric
        new = torch.fft.irfft2(spectrum, s=anchor.shape[-2:])
        state.spectrum.lerp_(spectrum, self.relaxation)
        del spectrum, metric
        ahead = torch.lerp(anchor, new, 2.0)
        weight = _positive(problem.weights(anchor))
        p.lerp_(prior.ascend(p.clone(), ahead, state.step, weight), self.relaxation)
        residual = norm(new - anchor) / norm(new).clamp(min=torch.finfo(new.dtype).tiny)
        anchor.lerp_(new, self.relaxation)
        return dataclasses.replace(state, x=new, residual=residual)


def _positive(weight: PerSample) -> PerSample:
    return weight.clamp(min=1e-12)  # the dual field of a weight of 0 is 0; λ/ratio must not be


def _symbol(normal: Callable[[Image], Image], like: Image) -> Tensor:
    """The eigenvalues of a symmetric convolution, from its answer to one bright pixel."""
    return torch.fft.rfft2(impulse_response(normal, like)).real.clamp(min=0)


def _bounded_away(symbol: Tensor) -> Tensor:
    """A symbol without zeros, as a metric must be; a larger metric than needed is valid too."""
    return symbol + 1e-6 * symbol.amax((-2, -1), keepdim=True)


def _periodic_symbol(fidelity: LeastSquares, like: Image) -> Tensor:
    gram = fidelity.operator.gram
    symbol = None if gram is None else gram.spectrum(like)
    if symbol is None or not fidelity.uniform:
        raise ValueError(
            "PreconditionedPrimalDual needs a blur with a periodic boundary and noise of one "
            f"level, got {type(fidelity.operator).__name__}; use PrimalDual or LBFGS"
        )
    return symbol
