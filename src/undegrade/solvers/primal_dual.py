"""The primal–dual method of Chambolle and Pock, for edges and other non-smooth priors."""

import functools
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import torch
from torch import Tensor

from undegrade.core.functional import Composite, Convex
from undegrade.core.image import PerSample, Vector, per_sample
from undegrade.core.objective import Objective
from undegrade.solvers.refusal import refuse_constraint, require_objective

PrimalDualProblem = Objective[Convex, Composite]
ADVICE = "TotalVariation is one, LBFGS takes any that has a gradient"


@runtime_checkable
class DualState(Protocol):
    """What a primal–dual method begins with near another solution: its image and dual field."""

    @property
    def x(self) -> Vector: ...
    @property
    def p(self) -> Tensor | None: ...


@final
@dataclass(frozen=True)
class PrimalDualState:
    """Iterate x, its extrapolation, the dual field p, and the two step sizes per sample."""

    x: Vector
    extrapolated: Vector
    p: Tensor
    step: PerSample
    dual_step: PerSample
    problem: PrimalDualProblem

    @property
    def residual(self) -> PerSample:
        """The duality gap, relative to the value of the objective. Computed when asked for."""
        return self._gap

    @functools.cached_property
    def _gap(self) -> PerSample:
        return relative_gap(self.problem, self.x, self.p)


@final
@dataclass(frozen=True, kw_only=True)
class PrimalDual:
    """min f(x) + λ g(Kx): alternate prox of g* on the dual field and of f on the image.

        p ← prox_{σ(λg)*}(p + σ K x̄),  x⁺ ← prox_{τf}(x − τ Kᵀp),  x̄ ← x⁺ + θ(x⁺ − x)

    with στ‖K‖² = 1. Where f is strongly convex with modulus m (denoising), θ = 1/√(1 + mτ),
    τ ← θτ, σ ← σ/θ, and the gap falls as O(1/k²). Otherwise the steps stay, and the gap falls as
    O(1/k). For a fidelity without a proximal map see `Dualized`. A state
    nearby gives its dual field. The step consumes its state: the
    dual field may be overwritten.

    References:
        Chambolle and Pock, A first-order primal-dual algorithm for convex problems with
        applications to imaging (2011), algorithms 1 and 2. We use mτ where algorithm 2 has 2mτ,
        as in Chambolle and Pock (2016), sec. 5.2: it is measurably faster on photographs.

    Good values:
        the default ratio suits images in [0, 1].

    Arguments:
        ratio: how far x moves per step, relative to the dual field, in units of the [0, 1] range:
            τ = ratio/(λ‖K‖) where f is not strongly convex. It changes the speed, not the answer.

    Raises:
        ValueError: an objective with a constraint.
    """

    ratio: float = 0.005

    def init(
        self, problem: PrimalDualProblem, x0: Vector, near: DualState | None = None
    ) -> PrimalDualState:
        require_objective(
            "PrimalDual",
            problem,
            fidelity=(Convex, "LeastSquares is one, `dualize` makes one of any linear fidelity"),
            prior=(Composite, ADVICE),
        )
        refuse_constraint("PrimalDual", problem, "`dualize` takes it as the base, or use LBFGS")
        norm = problem.prior.squared_norm(x0).sqrt()
        modulus = problem.fidelity.modulus(x0)
        weight = problem.weights(x0)
        balanced = self.ratio / (weight * norm).clamp(min=torch.finfo(x0.dtype).tiny)
        # λ = 0 leaves x to the fidelity alone, which a step this long solves at once
        step = torch.where(modulus > 0, 1 / modulus, balanced.clamp(max=1e6))
        p = dual_start(problem.prior, x0, near)
        return PrimalDualState(x0, x0, p, step, 1 / (step * norm**2), problem)

    def step(self, problem: PrimalDualProblem, state: PrimalDualState) -> PrimalDualState:
        prior, step = problem.prior, state.step
        p = prior.ascend(state.p, state.extrapolated, state.dual_step, problem.weights(state.x))
        x = problem.fidelity.prox(prior.descend(state.x, p, step), step)
        theta = (1 + problem.fidelity.modulus(x) * step).rsqrt()
        extrapolated = torch.lerp(state.x, x, per_sample(1 + theta, x))
        return PrimalDualState(x, extrapolated, p, step * theta, state.dual_step / theta, problem)


def dual_start(prior: Composite, x0: Vector, near: DualState | None) -> Tensor:
    """A copy of the dual field nearby, or 0."""
    if near is None or near.p is None:
        return torch.zeros_like(prior.inner(x0))
    return near.p.clone()


def relative_gap(problem: PrimalDualProblem, x: Vector, p: Tensor) -> PerSample:
    """(primal value − dual value) / |primal value|: how far the objective is from its minimum.

    The dual value at p is −f*(−Kᵀp) − (λg)*(p); f* may be replaced by a bound that is tight near
    the optimum (`Convex.conjugate_bound`).
    """
    weight = problem.weights(x)
    primal = problem(x)
    dual = problem.fidelity.conjugate_bound(-problem.prior.inner.adjoint(p), x)
    scaled = p / per_sample(weight.clamp(min=torch.finfo(x.dtype).tiny), p)
    gap = primal + dual + weight * problem.prior.outer.conjugate(scaled)
    return gap / primal.abs().clamp(min=torch.finfo(x.dtype).tiny)
