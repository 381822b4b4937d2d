"""Conjugate gradients and power iteration against dense matrices."""

import math

import pytest
import torch
from torch import Tensor

from tests.cases import uniform
from undegrade.core.linear_algebra import (
    ConjugateGradientState,
    conjugate_gradient,
    conjugate_gradient_step,
    squared_norm,
)

SHAPE = (3, 2, 3, 4)


@pytest.fixture
def matrices() -> Tensor:
    """Three symmetric positive definite systems; the last has a condition number of about 1e4."""
    factors = uniform(3, 24, 24) - 0.5
    shift = torch.tensor([1.0, 0.1, 1e-3], dtype=torch.float64)[:, None, None]
    return factors @ factors.mT + shift * torch.eye(24, dtype=torch.float64)


def apply(matrices: Tensor, x: Tensor) -> Tensor:
    return (matrices @ x.flatten(1)[..., None]).reshape(x.shape)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-6, 1e-11])
def test_it_solves_to_the_tolerance_asked_for(matrices, tolerance):
    b = uniform(*SHAPE, seed=1)
    x = conjugate_gradient(lambda u: apply(matrices, u), b, tolerance=tolerance, iterations=500)
    left = (apply(matrices, x) - b).flatten(1).norm(dim=1)
    assert (left <= 1.01 * tolerance * b.flatten(1).norm(dim=1)).all()
    if tolerance < 1e-10:
        expected = torch.linalg.solve(matrices, b.flatten(1)).reshape(SHAPE)
        torch.testing.assert_close(x, expected, rtol=1e-6, atol=1e-6)


def test_a_good_start_is_used(matrices):
    b = uniform(*SHAPE, seed=1)
    best = torch.linalg.solve(matrices, b.flatten(1)).reshape(SHAPE)
    calls = []

    def matvec(u: Tensor) -> Tensor:
        calls.append(1)
        return apply(matrices, u)

    x = conjugate_gradient(matvec, b, tolerance=1e-6, iterations=500, x0=best)
    assert len(calls) == 1
    assert torch.equal(x, best)


def test_one_system_never_depends_on_its_neighbors(matrices):
    b = uniform(*SHAPE, seed=1) * torch.tensor([1.0, 1e-6, 1e6]).double().reshape(3, 1, 1, 1)
    together = conjugate_gradient(lambda u: apply(matrices, u), b, tolerance=1e-5, iterations=500)
    for i in range(3):
        alone = conjugate_gradient(
            lambda u, i=i: apply(matrices[i : i + 1], u),
            b[i : i + 1],
            tolerance=1e-5,
            iterations=500,
        )
        assert (together[i] - alone[0]).norm() <= 1e-6 * alone.norm()


def test_zero_gives_zero_at_once_and_nan_gives_nan():
    calls = []

    def matvec(u: Tensor) -> Tensor:
        calls.append(1)
        return 2 * u

    b = torch.zeros(SHAPE)
    assert torch.equal(conjugate_gradient(matvec, b, tolerance=1e-3, iterations=9), b)
    assert not calls
    b[1] = math.nan
    b[2] = 4.0
    x = conjugate_gradient(matvec, b, tolerance=1e-3, iterations=9)
    assert torch.equal(x[0], b[0])
    assert x[1].isnan().all()
    assert torch.equal(x[2], b[2] / 2)


def test_a_solved_sample_stays_as_it_is():
    x, zero = uniform(*SHAPE), torch.zeros(SHAPE, dtype=torch.float64)
    state = ConjugateGradientState(x, zero, zero, zero.flatten(1).sum(1))
    after = conjugate_gradient_step(lambda u: 3 * u, state)
    assert torch.equal(after.x, x)
    assert not after.residual.any()


def test_squared_norm_is_the_largest_eigenvalue(matrices):
    estimate = squared_norm(lambda u: apply(matrices, u), SHAPE, matrices, iterations=200)
    torch.testing.assert_close(estimate, torch.linalg.eigvalsh(matrices)[:, -1], rtol=1e-4, atol=0)


def test_squared_norm_comes_from_below_and_knows_zero(matrices):
    largest = torch.linalg.eigvalsh(matrices)[:, -1]
    for iterations in (1, 3, 10):
        few = squared_norm(lambda u: apply(matrices, u), SHAPE, matrices, iterations=iterations)
        assert (few <= largest * (1 + 1e-12)).all()
    assert not squared_norm(lambda u: 0 * u, SHAPE, matrices).any()
