"""Inexact hypergradients that follow θ, and what the analytic deep prior amounts to."""

import torch
from torch import Tensor

from tests.cases import uniform
from undegrade.bilevel.hypergradient import Implicit
from undegrade.bilevel.lower_level import LowerLevel
from undegrade.bilevel.problem import Bilevel
from undegrade.bilevel.tracked import Tracked, followed_adjoint, tracked_hypergradient
from undegrade.core.objective import Fidelity, Objective
from undegrade.core.solver import solve
from undegrade.core.stopping import until
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.operators.dense import Dense
from undegrade.priors.tikhonov import Tikhonov
from undegrade.solvers.lbfgs import LBFGS

ALPHA = 2.0


def deep_prior(A: Tensor, y: Tensor) -> Bilevel:
    """B ↦ ½‖A x(B) − y‖², x(B) = argminₓ ½‖Bx − y‖² + α/2‖x‖²: the analytic deep prior, β = 0."""

    def objective(theta: Tensor) -> Objective:
        return Objective(Fidelity(Dense(theta[0]), Gaussian(1.0), y), Tikhonov(), ALPHA)

    stop = until(iterations=300, residual=1e-24)
    lower = LowerLevel(
        objective=objective, solver=LBFGS(memory=6), stop=stop, start=torch.zeros_like(y)
    )
    return Bilevel(Fidelity(Dense(A), Gaussian(1.0), y), lower, Implicit(tolerance=1e-9))


def test_a_hypergradient_that_follows_comes_to_the_true_one() -> None:
    A, y = uniform(5, 5), uniform(1, 1, 1, 5, seed=1)
    problem, theta = deep_prior(A, y), uniform(1, 5, 5, seed=2)
    truth = problem.value_and_grad(theta)[1]
    at, errors = Tracked(torch.zeros_like(y), torch.zeros_like(y)), list[float]()
    for _ in range(12):
        step = tracked_hypergradient(problem.upper, problem.lower, theta, at, 3)
        at = step.tracked
        errors.append(float((step.gradient - truth).norm() / truth.norm()))
    assert errors[0] > 0.1
    assert errors[-1] < 0.1  # the adjoint is followed to a tenth of its right-hand side


def test_an_adjoint_stops_where_the_curvature_ends() -> None:
    diagonal = torch.tensor([[2.0, 1.0, -1.0], [2.0, 1.0, 0.5]], dtype=torch.float64)
    right, zero = torch.ones_like(diagonal), torch.zeros_like(diagonal)
    found = followed_adjoint(lambda v: diagonal * v, right, zero, 9)
    assert found.isfinite().all()
    assert (right[1] - diagonal[1] * found[1]).norm() <= 0.1 * right[1].norm()
    nothing = followed_adjoint(lambda v: diagonal * v, zero, zero, 9)
    assert torch.equal(nothing, zero)


def ivanov(A: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """½‖Ax − y‖² at its minimum over ‖x‖ ≤ r, by bisection of the multiplier."""
    low, high = 0.0, 1e6
    x = y
    for _ in range(200):
        middle = (low + high) / 2
        x = torch.linalg.solve(A.T @ A + middle * torch.eye(len(y), dtype=y.dtype), A.T @ y)
        low, high = (middle, high) if x.norm() > radius else (low, middle)
    return 0.5 * (A @ x - y).square().sum()


def test_without_a_penalty_the_analytic_deep_prior_is_ivanov_regularization() -> None:
    """Arndt (2022): the x(B) of all B are a ball, here of radius ‖y‖/(2√α)."""
    A = uniform(4, 4) + torch.eye(4, dtype=torch.float64)
    y = 1 + uniform(1, 1, 1, 4, seed=1)
    radius = y.norm() / (2 * ALPHA**0.5)
    assert torch.linalg.solve(A, y.flatten()).norm() > 1.1 * radius  # or nothing would bind
    learned = Objective(deep_prior(A, y), Tikhonov(), 0.0)
    found = solve(LBFGS(memory=8), learned, A[None], stop=until(iterations=200, residual=1e-12))
    expected = ivanov(A, y.flatten(), radius)
    torch.testing.assert_close(learned(found.x)[0], expected, rtol=1e-4, atol=0)
