"""Matrix-free linear algebra on batches: every sample is a system of its own."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from undegrade.core.image import Image, PerSample, dot, norm, per_sample


class ConjugateGradientState(NamedTuple):
    """Iterate x, residual r = b − Ax, search direction p and ‖r‖²."""

    x: Image
    r: Tensor
    p: Tensor
    rr: PerSample

    @property
    def residual(self) -> PerSample:
        """‖b − Ax‖ per sample."""
        return self.rr.sqrt()


def conjugate_gradient_step(
    matvec: Callable[[Image], Image], state: ConjugateGradientState
) -> ConjugateGradientState:
    """One iteration of the conjugate gradient method; a solved sample stays as it is.

    References:
        Hestenes and Stiefel, Methods of conjugate gradients for solving linear systems (1952).
    """
    x, r, p, rr = state
    tiny = torch.finfo(x.dtype).tiny
    q = matvec(p)
    alpha = per_sample(rr / dot(p, q).clamp(min=tiny), x)
    x, r = x + alpha * p, r - alpha * q
    new = dot(r, r)
    p = r + per_sample(new / rr.clamp(min=tiny), x) * p
    return ConjugateGradientState(x, r, p, new)


def conjugate_gradient(
    matvec: Callable[[Image], Image],
    b: Image,
    *,
    tolerance: float,
    iterations: int,
    x0: Image | None = None,
) -> Image:
    """Solve Ax = b per sample, A symmetric positive definite, to ‖Ax − b‖ ≤ tolerance·‖b‖.

    A zero right-hand side returns zero at once, one that is not finite returns NaN. A sample that
    has reached the tolerance keeps its iterate, so that its solution does not depend on how long
    its neighbors take.

    Arguments:
        matvec: x ↦ Ax.
        b: right-hand side.
        tolerance: relative to ‖b‖.
        iterations: most iterations.
        x0: start; zero when not given.
    """
    x = torch.zeros_like(b) if x0 is None else x0
    r = b if x0 is None else b - matvec(x0)
    state = ConjugateGradientState(x, r, r, dot(r, r))
    target = tolerance * norm(b)
    for _ in range(iterations):
        going = state.residual > target
        if not bool(going.any()):
            break
        after = conjugate_gradient_step(matvec, state)
        state = ConjugateGradientState(
            *(
                torch.where(going.reshape(-1, *(1,) * (a.ndim - 1)), a, s)
                for a, s in zip(after, state, strict=True)
            )
        )
    lost = ~state.residual.isfinite()  # such a sample never went on: its start is no solution
    return state.x.masked_fill(lost.reshape(-1, *(1,) * (b.ndim - 1)), torch.nan)


def squared_norm(
    normal: Callable[[Image], Image], shape: tuple[int, ...], like: Tensor, iterations: int = 30
) -> PerSample:
    """‖A‖² of every sample: the largest eigenvalue of `normal` = AᵀA, by power iteration.

    The estimate comes from below; callers that need a bound multiply it by 1.05. The start is
    fixed (a smooth ramp plus a checkerboard, never orthogonal to a blur's or a difference's
    leading mode), so that the same operator always gives the same number.
    """
    n = torch.arange(math.prod(shape[1:]), dtype=like.dtype, device=like.device)
    start = 1 + 0.5 * torch.cos(2.399963 * n) + 0.25 * torch.cos(torch.pi * n)
    x = start.reshape(1, *shape[1:]).expand(*shape)
    value = like.new_zeros(shape[0])
    for _ in range(iterations):
        x = x / per_sample(norm(x).clamp(min=torch.finfo(like.dtype).tiny), x)
        x = normal(x)
        value = norm(x)
    return value
