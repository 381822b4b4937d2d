"""Conjugate gradients without a matrix, on batches: every sample is a system of its own."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Int
from torch import Tensor

from undegrade.core.image import PerSample, Vector, dot, norm, per_sample, ratio, select

Map: TypeAlias = Callable[[Tensor], Tensor]


class SystemState(NamedTuple):
    """Iterate x, residual r = b − Ax and ‖r‖², last direction p and ⟨r, Mr⟩ where it began."""

    x: Vector
    r: Vector
    squared: PerSample
    p: Vector
    along: PerSample

    @classmethod
    def start(cls, x: Vector, r: Vector) -> "SystemState":
        """At x, with no direction behind it: the first step goes along Mr."""
        squared = dot(r, r)
        return cls(x, r, squared, torch.zeros_like(r), torch.zeros_like(squared))


class Solution(NamedTuple):
    """x, the residual ‖b − Ax‖/‖b‖ that it leaves, and the iterations it took; per sample."""

    x: Vector
    residual: PerSample
    iterations: Int[Tensor, "b"]


def conjugate_gradient_step(
    matvec: Map, state: SystemState, precondition: Map | None = None
) -> SystemState:
    """One iteration of the conjugate gradient method; a solved sample stays as it is.

    References:
        Hestenes and Stiefel, Methods of conjugate gradients for solving linear systems (1952).
    """
    x, r, squared, p, last = state
    z = r if precondition is None else precondition(r)
    along = squared if precondition is None else dot(r, z)
    p = torch.addcmul(z, per_sample(ratio(along, last), p), p)
    del z  # room for the product
    q = matvec(p)
    step = per_sample(ratio(along, dot(p, q)), x)
    x, r = x + step * p, r - step * q
    return SystemState(x, r, dot(r, r), p, along)


def conjugate_gradient(
    matvec: Map,
    b: Vector,
    *,
    tolerance: float | PerSample,
    iterations: int,
    x0: Vector | None = None,
    precondition: Map | None = None,
) -> Solution:
    """Solve Ax = b per sample, A symmetric positive definite, to ‖Ax − b‖ ≤ tolerance·‖b‖.

    A zero right-hand side returns zero at once, one that is not finite returns NaN. A sample that
    has reached the tolerance keeps its iterate, so that its solution does not depend on how long
    its neighbors take.

    Arguments:
        matvec: x ↦ Ax.
        b: right-hand side.
        tolerance: relative to ‖b‖, one number or one per sample.
        iterations: most iterations.
        x0: start; zero when not given.
        precondition: r ↦ Mr, M symmetric positive definite and near to A⁻¹.
    """
    length = norm(b)
    state = _start(matvec, b, x0, length)
    target, taken = tolerance * length, torch.zeros_like(length, dtype=torch.long)
    for _ in range(iterations):
        going = state.squared.sqrt() > target
        if not bool(going.any()):
            break
        after = conjugate_gradient_step(matvec, state, precondition)
        state = after if bool(going.all()) else _merged(going, after, state)
        taken = taken + going
    residual = ratio(state.squared.sqrt(), length)
    # a sample that is not finite never went on: its start is no solution
    x = select(residual.isfinite(), state.x, torch.nan)
    return Solution(x, residual, taken)


def _start(matvec: Map, b: Vector, x0: Vector | None, length: PerSample) -> SystemState:
    if x0 is None:
        return SystemState.start(torch.zeros_like(b), b)
    x = select(length > 0, x0, 0.0)  # the solution where b is 0
    return SystemState.start(x, b - matvec(x))


def _merged(going: Tensor, after: SystemState, before: SystemState) -> SystemState:
    pairs = zip(after, before, strict=True)
    return SystemState(*(select(going, a, b) for a, b in pairs))
