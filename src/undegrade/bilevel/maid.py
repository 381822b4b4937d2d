"""Bilevel descent that chooses its own accuracy, and says how wrong its gradient can be."""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol, final, runtime_checkable

import torch
from torch import Tensor

from undegrade.bilevel.bounds import (
    WithinDistance,
    largest,
    sensitivity,
    strong_convexity,
    together,
)
from undegrade.bilevel.optimality import Theta, hessian, pulled
from undegrade.bilevel.problem import Bilevel
from undegrade.core.functional import Functional
from undegrade.core.image import PerSample, Vector, dot, norm, per_sample, ratio, select
from undegrade.core.objective import Objective
from undegrade.core.solver import solve
from undegrade.core.stopping import State, Until
from undegrade.linear_algebra.conjugate_gradient import conjugate_gradient

Problem = Objective[Bilevel, Functional]

_SHORTER = 0.5  # a refused step; the published ρ
_FINER = 0.5  # accuracies where the gradient is not certified or no step is proven
_COARSER = 1.05  # accuracies after an accepted step
_ROUNDING = 10.0  # times the rounding of x: no lower solver can be asked for more
_COARSEST_ADJOINT = 0.5  # a relative residual of 1 is no solution at all


@runtime_checkable
class StepRule(Protocol):
    """Which step size to try after an accepted step."""

    def following(self, step: Tensor, moved: Theta, turned: Theta) -> Tensor: ...


@final
@dataclass(frozen=True)
class Growing:
    """A little longer than the last one.

    Arguments:
        factor: above 1.
    """

    factor: float = 10 / 9

    def following(self, step: Tensor, moved: Theta, turned: Theta) -> Tensor:
        """The last step times the factor."""
        del moved, turned
        return self.factor * step


@final
@dataclass(frozen=True)
class BarzilaiBorwein:
    """⟨s, s⟩/⟨s, y⟩, the inverse curvature along the last step; twice as long where it is negative.

    References:
        Barzilai and Borwein, Two-point step size gradient methods (1988), eq. (5).
    """

    def following(self, step: Tensor, moved: Theta, turned: Theta) -> Tensor:
        """From the last change of θ and of the gradient, within a factor 100 of the last step."""
        along = dot(moved, turned)
        guess = torch.where(along > 0, ratio(dot(moved, moved), along), 2 * step)
        return guess.clamp(step / 100, 100 * step)


GROWING = Growing()


class MAIDState(NamedTuple):
    """θ with its hypergradient and bound; the lower solution; accuracies, step and counts."""

    x: Theta
    residual: Tensor  # ‖z‖ + ω ≥ ‖∇ℓ‖
    bound: Tensor  # ω
    by_lower: Tensor  # the part of ω that the error of the lower solution causes
    certified: Tensor  # whether ω ≤ (1 − η)‖z‖, so that −z is a direction of descent
    gradient: Theta  # z
    value: Tensor
    slack: Tensor  # how far the true value can be from `value`
    reference: Tensor  # what the next value must be below
    terms: Tensor  # how many values the reference is the mean of
    step: Tensor
    epsilon: Tensor  # accuracy that is asked of the lower solution
    delta: Tensor  # relative residual that is asked of the adjoint
    distance: Tensor  # bound on the error of the lower solution
    smoothness: Tensor  # ‖∇²upper‖
    lower: Vector
    adjoint: Vector
    lower_iterations: Tensor
    adjoint_iterations: Tensor


@final
@dataclass(frozen=True, kw_only=True)
class MAID:
    """Minimizes a bilevel loss with lower problems solved only as accurately as progress needs.

    z is used where its error bound ω ≤ (1 − η)‖z‖, so that −z certainly descends; otherwise the
    lower and the adjoint accuracies ε, δ are halved. A step is accepted where the values, with
    their own uncertainty added, still prove a decrease of the true loss. It is shortened where they
    prove that there is too little, and the accuracies are halved where they prove neither (the
    published method shortens first). After a success the accuracies are relaxed.
    Does as well as a well-chosen fixed accuracy; what it saves is the choice, and it certifies:
    the residual ‖z‖ + ω bounds the true gradient, ω is in the trace by `error_bound`.

    The lower problem must be strongly convex, smooth or with a separable prior. The bound is right
    to first order in ε; with `ProximalStep`, where x and x̂ have the same support.

    `MAID(steps=BarzilaiBorwein(), memory=0.85)` is the accelerated form, with Zhang and Hager's
    running mean in place of the last value; it needs well under half of the lower iterations where
    the upper problem is badly conditioned.

    References:
        Salehi, Mukherjee, Roberts and Ehrhardt, An adaptively inexact first-order method for
        bilevel optimization with application to hyperparameter learning (2025), algorithm 3.1.

    Good values: step such that step·‖z‖ is about what θ may change at first; epsilon about 1e-1 to
    1e-3 of ‖x‖.

    Arguments:
        step: the first step size to try.
        epsilon: the first bound on the distance of lower solutions.
        delta: the first relative residual of adjoint systems.
        steps: how step sizes go on.
        memory: how much earlier values count in what must be beaten, from 0 (monotone) to 1.
        eta: η.
        decrease: share of the decrease that a step promises which it must prove.
        trials: how often a step is shortened before accuracy is raised.
        lower_iterations: most iterations of one lower solve.
        adjoint_iterations: most iterations of one adjoint system.
        power_iterations: of each norm in the bound.

    Raises:
        ValueError: a lower problem that is not strongly convex; an objective with a constraint.
    """

    step_size: float = 0.1
    epsilon: float = 1e-1
    delta: float = 1e-1
    steps: StepRule = GROWING
    memory: float = 0.0
    eta: float = 1e-4
    decrease: float = 1e-4
    trials: int = 5
    lower_iterations: int = 1000
    adjoint_iterations: int = 1000
    power_iterations: int = 10

    @torch.no_grad()
    def init(self, problem: Problem, x0: Theta, near: State | None = None) -> MAIDState:
        del near  # its certificate is another problem's
        if problem.constraint is not None:
            raise ValueError(f"MAID takes no constraint, got {type(problem.constraint).__name__}")
        one, start = x0.new_ones(len(x0)), problem.fidelity.lower.start
        curve = hessian(problem.fidelity.upper, start)
        unknown = one * math.inf
        state = MAIDState(
            x=x0,
            residual=unknown,
            bound=unknown,
            by_lower=unknown,
            certified=one < 0,
            gradient=torch.zeros_like(x0),
            value=unknown,
            slack=unknown,
            reference=unknown,
            terms=one,
            step=one * self.step_size,
            epsilon=one * self.epsilon,
            delta=one * self.delta,
            distance=unknown,
            smoothness=largest(curve, start, x0, self.power_iterations),
            lower=start,
            adjoint=torch.zeros_like(start),
            lower_iterations=one * 0,
            adjoint_iterations=one * 0,
        )
        state = self._differentiated(problem, self._valued(problem, state, x0))
        return state._replace(reference=state.value - state.slack)

    @torch.no_grad()
    def step(self, problem: Problem, state: MAIDState) -> MAIDState:
        """A step where the gradient is certified, a more accurate gradient elsewhere."""
        trial, accepted, step = self._searched(problem, state)
        moved = _merged(accepted, trial, state)._replace(
            step=step,
            lower_iterations=trial.lower_iterations,
            certified=state.certified & accepted,
        )
        if bool(accepted.any()):
            moved = _merged(accepted, self._differentiated(problem, moved), moved)
        return self._adapted(state, moved, accepted)

    def _searched(self, problem: Problem, state: MAIDState) -> tuple[MAIDState, Tensor, Tensor]:
        """The trial that proves enough, shortened until then; for which θ it does; its step.

        A trial that may be good enough, but for the uncertainty of the values, is not shortened:
        accuracy is what it lacks.
        """
        step, best, accepted = state.step, state, torch.zeros_like(state.certified)
        for _ in range(self.trials):
            stride = step * state.certified
            ahead = state.x - per_sample(stride, state.x) * state.gradient
            trial = self._valued(problem, best._replace(lower=state.lower), ahead)
            promised = self.decrease * stride * dot(state.gradient, state.gradient)
            proven = trial.value + trial.slack <= state.reference - promised
            worse = trial.value - trial.slack > state.reference + 2 * state.slack - promised
            fresh = ~accepted & (proven | ~state.certified)
            refused = ~accepted & ~fresh & worse
            spent = torch.where(accepted, best.lower_iterations, trial.lower_iterations)
            best = _merged(fresh, trial, best)._replace(lower_iterations=spent)
            accepted = accepted | fresh
            if not bool(refused.any()):
                break
            step = torch.where(refused, _SHORTER * step, step)
        return best, accepted, step

    def _valued(self, problem: Problem, state: MAIDState, theta: Theta) -> MAIDState:
        """At another θ: the lower solution to accuracy ε, the value, and its uncertainty."""
        bilevel = problem.fidelity
        objective = bilevel.lower.objective(theta)
        modulus = strong_convexity(objective, state.lower)

        def distance(x: Vector) -> PerSample:
            return bilevel.lower.optimality.distance(objective, x, modulus)

        share = len(state.lower) // len(theta)  # of the lower samples, of one θ
        tolerance = (state.epsilon / share**0.5).repeat_interleave(share)
        stop = WithinDistance(distance, Until(iterations=self.lower_iterations, residual=tolerance))
        found = solve(bilevel.lower.solver, objective, state.lower, stop=stop)
        off = together(distance(found.x), theta)
        value, slope = bilevel.upper.value_and_grad(found.x)
        taken = value.new_tensor(found.iterations).reshape(len(theta), -1).sum(1)
        return state._replace(
            x=theta,
            value=value.reshape(len(theta), -1).sum(1)
            + problem.weights(theta) * problem.prior(theta),
            slack=together(norm(slope), theta) * off + 0.5 * state.smoothness * off.square(),
            distance=off,
            lower=found.x,
            lower_iterations=state.lower_iterations + taken,
        )

    def _differentiated(self, problem: Problem, state: MAIDState) -> MAIDState:
        """The hypergradient at the state's θ and lower solution, to accuracy δ, with its bound."""
        lower, upper, theta = problem.fidelity.lower, problem.fidelity.upper, state.x
        objective = lower.objective(theta)
        system = lower.optimality.adjoint(objective, state.lower, upper.grad(state.lower))
        share = len(state.lower) // len(theta)
        solution = conjugate_gradient(
            system.matrix,
            system.right,
            tolerance=state.delta.repeat_interleave(share),
            iterations=self.adjoint_iterations,
            x0=state.adjoint,
        )
        pull = pulled(lower.optimality, lower.objective, theta, state.lower)
        penalty = per_sample(problem.weights(theta), theta) * problem.prior.grad(theta)
        gradient = penalty - pull(system.lift(solution.x))
        norms = sensitivity(upper, lower, theta, state.lower, solution.x, self.power_iterations)
        modulus = strong_convexity(objective, state.lower).reshape(len(theta), -1).amin(1)
        left = together(solution.residual * norm(system.right), theta)
        bound, length = norms.bound(state.distance, left, modulus), norm(gradient)
        by_adjoint = norms.bound(torch.zeros_like(left), left, modulus)
        taken = solution.iterations.to(bound).reshape(len(theta), -1).sum(1)
        return state._replace(
            residual=length + bound,
            bound=bound,
            by_lower=bound - by_adjoint,
            certified=bound <= (1 - self.eta) * length,
            gradient=gradient,
            smoothness=norms.upper,
            adjoint=solution.x,
            adjoint_iterations=state.adjoint_iterations + taken,
        )

    def _adapted(self, before: MAIDState, after: MAIDState, accepted: Tensor) -> MAIDState:
        """The next step size, the next accuracies, and what the next value must be below."""
        stepped = accepted & before.certified
        turned = after.gradient - before.gradient
        following = self.steps.following(after.step, after.x - before.x, turned)
        lower, adjoint = self._accuracies(after, stepped, lost=before.certified & ~accepted)
        terms = torch.where(stepped, self.memory * before.terms + 1, before.terms)
        least = after.value - after.slack
        fresh = before.reference + (least - before.reference) / terms
        first = accepted & (terms == 1)
        return after._replace(
            step=torch.where(stepped, following, after.step),
            epsilon=lower,
            delta=adjoint,
            terms=terms,
            reference=torch.where(first, least, torch.where(stepped, fresh, before.reference)),
        )

    def _accuracies(self, state: MAIDState, stepped: Tensor, lost: Tensor) -> tuple[Tensor, Tensor]:
        """The next ε and δ: coarser after a step; finer where it failed, or ω is too large.

        Of these only what causes more than its half of an ω that is too large becomes finer: a
        lower solution that is exact as it is cannot be improved.
        """
        allowed = 0.5 * (1 - self.eta) * norm(state.gradient)
        fails = ~state.certified
        coarser = torch.where(stepped & state.certified, _COARSER, 1.0)
        lower = fails & (lost | (state.by_lower > allowed))
        adjoint = fails & (lost | (state.bound - state.by_lower > allowed))
        # halving an accuracy that is exceeded already would change nothing
        reached = torch.where(state.distance > 0, state.distance, state.epsilon)
        epsilon = torch.where(
            lower, _FINER * state.epsilon.minimum(reached), coarser * state.epsilon
        )
        delta = torch.where(adjoint, _FINER, coarser) * state.delta
        size = together(norm(state.lower), state.x)
        least = _ROUNDING * torch.finfo(size.dtype).eps * size
        return epsilon.maximum(least), delta.clamp(max=_COARSEST_ADJOINT)


def error_bound(iteration: int, state: MAIDState) -> dict[str, Tensor]:
    """An observer: ω, the value, and the lower and adjoint iterations so far, for the trace."""
    del iteration
    return {
        "bound": state.bound,
        "value": state.value,
        "lower_iterations": state.lower_iterations,
        "adjoint_iterations": state.adjoint_iterations,
    }


def _merged(chosen: Tensor, new: MAIDState, old: MAIDState) -> MAIDState:
    """The new state for the chosen θ and their lower samples, the old one for the others."""

    def merged(a: Tensor, b: Tensor) -> Tensor:
        return select(chosen.repeat_interleave(len(a) // len(chosen)), a, b)

    return MAIDState(*(merged(a, b) for a, b in zip(new, old, strict=True)))
