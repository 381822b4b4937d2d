"""Matrix-free linear algebra on batches: every sample is a system of its own."""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Int
from torch import Tensor

from undegrade.core.image import Image, PerSample, Vector, dot, norm, per_sample, ratio

Map: TypeAlias = Callable[[Tensor], Tensor]


class ConjugateGradientState(NamedTuple):
    """Iterate x, residual r = b − Ax and ‖r‖², last direction p and ⟨r, Mr⟩ where it began."""

    x: Vector
    r: Vector
    squared: PerSample
    p: Vector
    along: PerSample

    @classmethod
    def start(cls, x: Vector, r: Vector) -> "ConjugateGradientState":
        """At x, with no direction behind it: the first step goes along Mr."""
        squared = dot(r, r)
        return cls(x, r, squared, torch.zeros_like(r), torch.zeros_like(squared))


class Solution(NamedTuple):
    """x, the residual ‖b − Ax‖/‖b‖ that it leaves, and the iterations it took; per sample."""

    x: Vector
    residual: PerSample
    iterations: Int[Tensor, "b"]


def conjugate_gradient_step(
    matvec: Map, state: ConjugateGradientState, precondition: Map | None = None
) -> ConjugateGradientState:
    """One iteration of the conjugate gradient method; a solved sample stays as it is.

    References:
        Hestenes and Stiefel, Methods of conjugate gradients for solving linear systems (1952).
    """
    x, r, squared, p, last = state
    z = r if precondition is None else precondition(r)
    along = squared if precondition is None else dot(r, z)
    p = z + per_sample(ratio(along, last), p) * p
    q = matvec(p)
    step = per_sample(ratio(along, dot(p, q)), x)
    x, r = x + step * p, r - step * q
    return ConjugateGradientState(x, r, dot(r, r), p, along)


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
    x = state.x.masked_fill(_column(~residual.isfinite(), b), torch.nan)
    return Solution(x, residual, taken)


def _start(matvec: Map, b: Vector, x0: Vector | None, length: PerSample) -> ConjugateGradientState:
    if x0 is None:
        return ConjugateGradientState.start(torch.zeros_like(b), b)
    x = torch.where(_column(length > 0, b), x0, 0.0)  # the solution where b is 0
    return ConjugateGradientState.start(x, b - matvec(x))


def _merged(
    going: Tensor, after: ConjugateGradientState, before: ConjugateGradientState
) -> ConjugateGradientState:
    pairs = zip(after, before, strict=True)
    return ConjugateGradientState(*(torch.where(_column(going, a), a, b) for a, b in pairs))


def _column(mask: Tensor, like: Tensor) -> Tensor:
    return mask.reshape(-1, *(1,) * (like.ndim - 1))


def impulse_response(linear: Map, like: Vector, size: tuple[int, int] | None = None) -> Image:
    """The answer to one bright pixel, on a periodic grid with that pixel at the origin.

    For a convolution that is its kernel. A map that returns fewer pixels than it takes is
    understood to lose as many on opposite sides.

    Arguments:
        linear: the map.
        like: an image of the shape, dtype and device that the map takes, (b, c, h, w).
        size: rows and columns of the grid, at least as many as `like` has, which is the default.
    """
    middle = like.shape[-2] // 2, like.shape[-1] // 2
    point = torch.zeros_like(like)
    point[..., middle[0], middle[1]] = 1
    answer = linear(point)
    lost = like.shape[-2] - answer.shape[-2], like.shape[-1] - answer.shape[-1]
    rows, columns = size or (like.shape[-2], like.shape[-1])
    wide = torch.nn.functional.pad(
        answer, (0, columns - answer.shape[-1], 0, rows - answer.shape[-2])
    )
    return wide.roll((lost[0] // 2 - middle[0], lost[1] // 2 - middle[1]), (-2, -1))


def random_signs(like: Vector, seed: int) -> Vector:
    """±1 with equal chance, the same for every sample of this size and at every call."""
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, like.shape[1:], generator=generator, dtype=torch.int8)
    return (2 * signs - 1).to(like).expand_as(like)


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
        x = normal(ratio(x, per_sample(norm(x), x)))
        value = norm(x)
    return value
