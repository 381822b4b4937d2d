"""What conjugate gradients on a curvature need to be quick: a map near its inverse."""

from typing import NamedTuple

import torch
from torch import Tensor

from undegrade.core.functional import Linear
from undegrade.core.image import PerSample, Vector, per_sample
from undegrade.core.objective import Smooth
from undegrade.linear_algebra.probes import random_signs

_WEAKEST = 0.05  # of the mean: a diagonal's entries below are raised, where a probe says nothing
_PROBE = 577215664  # a seed that nobody simulates noise with


class Preconditioner(NamedTuple):
    """μ = damping times the mean of the diagonal of C, and M about (C + μ)⁻¹."""

    shift: PerSample
    solve: Linear


def preconditioner(
    problem: Smooth, x: Vector, fidelity: Linear, prior: Linear, damping: PerSample
) -> Preconditioner:
    """For C = fidelity + prior, both maps symmetric and ≥ 0, the prior's weight in it.

    Where the prior knows its own (`Functional.preconditioner`), the fidelity is taken for its sums
    over rows: right for slow changes of the picture, to which a blur is nearly the identity, and
    too much for quick ones, where the prior is most of C. Elsewhere the diagonal of C, from two
    probes.

    References:
        Tang and Saad, A probing method for computing the diagonal of a matrix inverse (2012).
    """
    signs = random_signs(x, _PROBE)
    of_prior = problem.prior.preconditioner(x, problem.weights(x))
    if of_prior is None:
        diagonal = probed_diagonal(lambda v: fidelity(v).add_(prior(v)), x)
        mu = damping * _mean(diagonal)
        inverse = diagonal.add_(per_sample(mu, x)).reciprocal_()
        return Preconditioner(mu, inverse.mul)
    stiffness = _mean(signs * fidelity(signs))
    mu = damping * (stiffness + _mean(signs * prior(signs)))
    del signs  # room for what comes
    rows = fidelity(torch.ones_like(x))
    mean = _mean(rows)
    # rows that add to less than the diagonal have signs: then they say nothing
    least = torch.where(mean < stiffness, stiffness, _WEAKEST * mean)
    least = least.clamp(min=torch.finfo(x.dtype).tiny)
    shift = torch.maximum(rows, per_sample(least, x)).add_(per_sample(mu, x))
    return Preconditioner(mu, of_prior(shift))


def probed_diagonal(curved: Linear, x: Vector) -> Vector:
    """About the diagonal of a map, positive: exact where an entry meets none of its own color.

    The entries are colored like a chessboard; one product a color. What is left of other entries
    has random signs.
    """
    signs = random_signs(x, _PROBE)
    places = sum(
        torch.arange(n, device=x.device).reshape(-1, *(1,) * (x.ndim - 1 - i))
        for i, n in enumerate(x.shape[1:], 1)
        if i > x.ndim - 3  # rows and columns: the colors of a pixel share a field of the board
    )
    black = (torch.as_tensor(places) % 2).to(x) * signs
    white = signs - black
    diagonal = black * curved(black) + white * curved(white)
    mean = _mean(diagonal).clamp(min=torch.finfo(x.dtype).tiny)
    return torch.maximum(diagonal, _WEAKEST * per_sample(mean, x))


def _mean(x: Tensor) -> PerSample:
    return x.flatten(1).mean(1)
