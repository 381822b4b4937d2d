"""Conjugate gradients and power iteration against dense matrices."""

import math

import pytest
import torch
from torch import Tensor

from tests.cases import uniform
from undegrade.core.image import dot, norm, ratio
from undegrade.linear_algebra.conjugate_gradient import (
    SystemState,
    conjugate_gradient,
    conjugate_gradient_step,
)
from undegrade.linear_algebra.least_squares import LeastSquares
from undegrade.linear_algebra.power_iteration import squared_norm
from undegrade.linear_algebra.probes import impulse_response, random_signs
from undegrade.linear_algebra.transform_sizes import fast_size, is_fast
from undegrade.operators.mask import Mask

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
    x, residual, iterations = conjugate_gradient(
        lambda u: apply(matrices, u), b, tolerance=tolerance, iterations=500
    )
    left = norm(apply(matrices, x) - b) / norm(b)
    assert (left <= 1.01 * tolerance).all()
    torch.testing.assert_close(left, residual, rtol=1e-2, atol=1e-12)
    assert iterations[0] < iterations[2] < 500  # the well-conditioned one is done earlier
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

    x, _, iterations = conjugate_gradient(matvec, b, tolerance=1e-6, iterations=500, x0=best)
    assert len(calls) == 1
    assert torch.equal(x, best)
    assert not iterations.any()


def test_every_system_has_its_own_tolerance(matrices):
    b, tolerance = uniform(*SHAPE, seed=1), torch.tensor([1e-8, 1e-1, 1e-4]).double()
    solution = conjugate_gradient(
        lambda u: apply(matrices, u), b, tolerance=tolerance, iterations=500
    )
    assert (solution.residual <= tolerance).all()
    assert (solution.residual > 1e-4 * tolerance).all()


def test_a_preconditioner_saves_iterations_and_changes_nothing_else(matrices):
    scale = torch.logspace(0, 3, 24, dtype=torch.float64)
    rescaled = scale[:, None] * matrices * scale  # diagonal dominates: dividing by it nearly solves
    b = uniform(*SHAPE, seed=1)
    plain, better = (
        conjugate_gradient(
            lambda u: apply(rescaled, u),
            b,
            tolerance=1e-9,
            iterations=5000,
            precondition=precondition,
        )
        for precondition in (None, lambda r: r / scale.square().reshape(SHAPE[1:]))
    )
    assert (better.iterations < 0.5 * plain.iterations).all()
    torch.testing.assert_close(better.x, plain.x, rtol=1e-4, atol=1e-9)


def test_an_exact_preconditioner_needs_one_iteration(matrices):
    inverse, b = torch.linalg.inv(matrices), uniform(*SHAPE, seed=1)
    solution = conjugate_gradient(
        lambda u: apply(matrices, u),
        b,
        tolerance=1e-9,
        iterations=9,
        precondition=lambda r: apply(inverse, r),
    )
    assert solution.iterations.tolist() == [1, 1, 1]


def test_a_solution_can_be_differentiated(matrices):
    def solved(b: Tensor) -> Tensor:
        normal = lambda u: apply(matrices[:1], u)  # noqa: E731
        return conjugate_gradient(normal, b, tolerance=1e-13, iterations=99).x

    b = uniform(1, *SHAPE[1:], seed=1).requires_grad_()
    assert torch.autograd.gradcheck(solved, b, fast_mode=True)


def test_one_system_never_depends_on_its_neighbors(matrices):
    b = uniform(*SHAPE, seed=1) * torch.tensor([1.0, 1e-6, 1e6]).double().reshape(3, 1, 1, 1)
    together = conjugate_gradient(lambda u: apply(matrices, u), b, tolerance=1e-5, iterations=500).x
    for i in range(3):
        alone = conjugate_gradient(
            lambda u, i=i: apply(matrices[i : i + 1], u),
            b[i : i + 1],
            tolerance=1e-5,
            iterations=500,
        ).x
        assert (together[i] - alone[0]).norm() <= 1e-6 * alone.norm()


def test_zero_gives_zero_at_once_and_nan_gives_nan():
    calls = []

    def matvec(u: Tensor) -> Tensor:
        calls.append(1)
        return 2 * u

    b = torch.zeros(SHAPE)
    assert torch.equal(conjugate_gradient(matvec, b, tolerance=1e-3, iterations=9).x, b)
    assert not calls
    start = torch.ones(SHAPE)
    assert torch.equal(conjugate_gradient(matvec, b, tolerance=1e-3, iterations=9, x0=start).x, b)
    b[1] = math.nan
    b[2] = 4.0
    x, residual, iterations = conjugate_gradient(matvec, b, tolerance=1e-3, iterations=9)
    assert iterations.tolist() == [0, 0, 1]
    assert residual[1].isnan()
    assert torch.equal(x[0], b[0])
    assert x[1].isnan().all()
    assert torch.equal(x[2], b[2] / 2)


def test_a_solved_sample_stays_as_it_is():
    x, zero = uniform(*SHAPE), torch.zeros(SHAPE, dtype=torch.float64)
    state = SystemState.start(x, zero)
    after = conjugate_gradient_step(lambda u: 3 * u, state)
    assert torch.equal(after.x, x)
    assert not after.squared.any()


def test_squared_norm_is_the_largest_eigenvalue(matrices):
    estimate = squared_norm(lambda u: apply(matrices, u), SHAPE, matrices, iterations=200)
    torch.testing.assert_close(estimate, torch.linalg.eigvalsh(matrices)[:, -1], rtol=1e-4, atol=0)


def test_squared_norm_comes_from_below_and_knows_zero(matrices):
    largest = torch.linalg.eigvalsh(matrices)[:, -1]
    for iterations in (1, 3, 10):
        few = squared_norm(lambda u: apply(matrices, u), SHAPE, matrices, iterations=iterations)
        assert (few <= largest * (1 + 1e-12)).all()
    assert not squared_norm(lambda u: 0 * u, SHAPE, matrices).any()


def test_an_impulse_response_is_the_kernel_of_a_convolution():
    like, kernel = torch.zeros(2, 3, 6, 7), torch.rand(2, 3, 6, 7)
    transfer = torch.fft.rfft2(kernel)

    def convolved(x: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(x) * transfer, s=(6, 7))

    torch.testing.assert_close(impulse_response(convolved, like), kernel)


def test_random_signs_are_the_same_for_every_sample_and_every_time():
    signs = random_signs(torch.zeros(3, 2, 40, 50), seed=4)
    assert set(signs.unique().tolist()) == {-1, 1}
    assert abs(signs.mean()) < 0.1
    assert torch.equal(signs[0], signs[2])
    assert torch.equal(signs, random_signs(signs, seed=4))
    assert not torch.equal(signs, random_signs(signs, seed=5))


def test_a_ratio_by_zero_is_zero_and_has_a_slope():
    a = torch.tensor([1.0, 0.0, 3.0, math.nan]).double().requires_grad_()
    b = torch.tensor([0.0, 0.0, 2.0, 1.0]).double().requires_grad_()
    assert ratio(a, b)[:3].tolist() == [0, 0, 1.5]
    assert ratio(a, b)[3].isnan()
    slope = torch.autograd.grad(ratio(a, b)[:3].sum(), b)[0]
    assert slope[:3].tolist() == [0, 0, -0.75]


def test_the_bound_on_a_conjugate_counts_images_half_a_range_away() -> None:
    """Where nothing was seen, ⟨p, u⟩ is largest at the ends of that range: the bound is tight."""
    x, y = uniform(1, 1, 6, 7), uniform(1, 1, 6, 7, seed=1)
    seen = uniform(1, 1, 6, 7, seed=2) > 0.5
    f = LeastSquares(Mask(seen), y, 0.1)
    low, high = x.min(), x.max()
    p = torch.where(seen, f.grad(x), uniform(1, 1, 6, 7, seed=3) - 0.5)
    far = torch.where(p > 0, high + (high - low) / 2, low - (high - low) / 2)
    u = torch.where(seen, x, far)
    torch.testing.assert_close(f.conjugate_bound(p, x), dot(p, u) - f(u))


def test_fast_sizes_are_the_next_products_of_two_three_and_five():
    assert [fast_size(n) for n in (1, 7, 13, 101, 512, 522)] == [2, 8, 16, 108, 512, 540]
    assert [n for n in range(1, 17) if is_fast(n)] == [1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 15, 16]
