"""Hypergradients for many small steps: solution and adjoint follow θ, a few iterations each."""

from typing import NamedTuple

import torch
from torch import Tensor

from undegrade.bilevel.lower_level import LowerLevel
from undegrade.bilevel.optimality import Theta, pulled
from undegrade.core.functional import Functional
from undegrade.core.image import Vector, dot, norm, select
from undegrade.core.solver import advance
from undegrade.linear_algebra.conjugate_gradient import (
    Map,
    SystemState,
    conjugate_gradient_step,
)

_LEFT = 0.1  # of the right-hand side: θ has moved on before more would be of use


class Tracked(NamedTuple):
    """Where lower solutions and adjoints are; both lag behind θ."""

    x: Vector
    adjoint: Vector


class Step(NamedTuple):
    """ℓ(θ) and its gradient as far as they are known, and where everything is now."""

    value: Tensor
    gradient: Theta
    tracked: Tracked


def tracked_hypergradient(
    upper: Functional, lower: LowerLevel, theta: Theta, at: Tracked, iterations: int
) -> Step:
    """An inexact hypergradient from where the last one ended: neither level is solved to an end.

    For mini-batches, where θ moves little between two visits of a sample: errors of solution and
    adjoint then shrink with the steps of θ. Conjugate gradients end for a sample where they meet a
    direction without positive curvature, as they may behind a prior that is not convex while x is
    still on its way. No bound on the error: `MAID` has one.

    References:
        Arbel and Mairal, Amortized implicit differentiation for stochastic bilevel optimization
        (2022), algorithm 1.

    Arguments:
        upper: the loss of a lower solution.
        lower: the lower problem of these samples; its stopping rule and start are not used.
        theta: θ.
        at: where these samples were.
        iterations: of the lower solver; conjugate gradients have twice as many.
    """
    x = advance(lower.solver, lower.objective(theta.detach()), at.x, iterations).x
    value, slope = upper.value_and_grad(x)
    system = lower.optimality.adjoint(lower.objective(theta.detach()), x, slope)
    adjoint = followed_adjoint(system.matrix, system.right, at.adjoint, 2 * iterations)
    pull = pulled(lower.optimality, lower.objective, theta, x)
    total = value.reshape(len(theta), -1).sum(1)
    return Step(total, -pull(system.lift(adjoint)), Tracked(x, adjoint))


@torch.no_grad()
def followed_adjoint(matrix: Map, right: Vector, start: Vector, iterations: int) -> Vector:
    """Conjugate gradients from a start, to a tenth of b or where the curvature ends.

    Arguments:
        matrix: v ↦ Hv, symmetric.
        right: b of Hv = b.
        start: where v was.
        iterations: most of them.
    """
    state = SystemState.start(start, right - matrix(start))
    enough = (_LEFT * norm(right)).square()
    going = torch.ones_like(enough, dtype=torch.bool)
    for _ in range(iterations):
        going = going & (state.squared > enough)
        if not bool(going.any()):
            break
        after = conjugate_gradient_step(matrix, state)
        # the step goes down along the residual where the curvature is positive, and up elsewhere
        going = going & (dot(after.x - state.x, state.r) > 0)
        state = SystemState(*(select(going, a, b) for a, b in zip(after, state, strict=True)))
    return state.x
