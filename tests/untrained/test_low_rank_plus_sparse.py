"""The theory of double over-parameterization: its limit solves a convex program, λ = 1/α."""

import pytest
import torch
from torch import Tensor

from undegrade.core.objective import Fidelity
from undegrade.core.operator import LinearOperator
from undegrade.core.solver import solve
from undegrade.core.stopping import until
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.operators.identity import Identity
from undegrade.operators.sensing import Sensing
from undegrade.untrained.low_rank_plus_sparse import LowRankPlusSparse

_SMALL = 5e-5  # misfit at which the last digits no longer matter to a tolerance of 1e-2


def low_rank(n: int, rank: int, seed: int) -> Tensor:
    """A random X ⪰ 0 of that rank, ‖X‖ = √n."""
    u = torch.randn(n, rank, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x = u @ u.T
    return (n**0.5 * x / x.norm())[None, None]


def corrupted(clean: Tensor, fraction: float, seed: int) -> Tensor:
    """A fraction of the entries moved by three deviations."""
    generator = torch.Generator().manual_seed(seed)
    where = torch.rand(clean.shape, dtype=clean.dtype, generator=generator) < fraction
    size = 3 * clean.std() * torch.randn(clean.shape, dtype=clean.dtype, generator=generator)
    return clean + where * size


def recovered(operator: LinearOperator, y: Tensor, n: int, discrepancy: float) -> Tensor:
    problem = Fidelity(operator, Gaussian(1.0), y)
    stop = until(iterations=6000, residual=_SMALL, every=50)
    solver = LowRankPlusSparse(discrepancy=discrepancy)
    return solve(solver, problem, y.new_zeros(1, 1, n, n), stop=stop).x


def convex(operator: LinearOperator, y: Tensor, n: int, weight: float) -> Tensor:
    """argmin ‖X‖_* + weight·‖s‖₁ subject to A(X) + s = y, X ⪰ 0, by primal–dual steps."""
    x, s, p = y.new_zeros(1, 1, n, n), torch.zeros_like(y), torch.zeros_like(y)
    basis = torch.eye(n * n, dtype=y.dtype).reshape(n * n, 1, n, n)
    step = 1 / (torch.linalg.matrix_norm(operator(basis).flatten(1), 2) ** 2 + 1).sqrt()
    for _ in range(3000):
        v = x - step * operator.adjoint(p)
        values, vectors = torch.linalg.eigh((v + v.mT) / 2)
        lower = (vectors * (values - step).clamp(min=0)[..., None, :]) @ vectors.mT
        moved = s - step * p
        shrunk = moved.sign() * (moved.abs() - step * weight).clamp(min=0)
        p = p + step * (operator(2 * lower - x) + 2 * shrunk - s - y)
        x, s = lower, shrunk
    return x


def apart(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("rank", [1, 2])
def test_robust_principal_components_solve_the_convex_program(rank):
    n = 12
    y = corrupted(low_rank(n, rank, 0), 0.1, 1)
    discrepancy = n**0.5 / 2
    expected = convex(Identity(), y, n, 1 / discrepancy)
    assert apart(recovered(Identity(), y, n, discrepancy), expected) < 1e-2


def test_inner_products_solve_the_convex_program():
    n, m = 6, 60
    generator = torch.Generator().manual_seed(2)
    A = Sensing(torch.randn(m, n, n, dtype=torch.float64, generator=generator) / m**0.5)
    y = corrupted(A(low_rank(n, 1, 3)), 0.15, 4)
    assert apart(recovered(A, y, n, 2.0), convex(A, y, n, 0.5)) < 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.15])
def test_it_recovers_a_grid_of_ranks_and_fractions(rank, fraction):
    n = 16
    x = low_rank(n, rank, 5)
    y = corrupted(x, fraction, 6)
    assert apart(recovered(Identity(), y, n, n**0.5 / 2), x) < 1e-2


@pytest.mark.parametrize("off", [1 / 30, 30.0])
def test_without_the_discrepancy_it_fails(off):
    """Rates far from their ratio: U learns the corruption, or s learns the matrix."""
    n = 12
    x = low_rank(n, 2, 0)
    y = corrupted(x, 0.1, 1)
    assert apart(recovered(Identity(), y, n, off * n**0.5 / 2), x) > 0.1


def test_what_is_not_square_is_refused():
    y = torch.zeros(1, 1, 4, 5)
    with pytest.raises(ValueError, match="U Uᵀ is square, got a matrix of 4×5"):
        LowRankPlusSparse(discrepancy=2.0).init(Fidelity(Identity(), Gaussian(1.0), y), y)
