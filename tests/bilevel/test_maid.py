"""Adaptive accuracy: errors stay below their bound, the true loss falls, the minimum is found."""

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.cases import BILEVEL, BILEVEL_SOLVERS, uniform
from undegrade.bilevel.hypergradient import Implicit
from undegrade.bilevel.lower_level import LowerLevel
from undegrade.bilevel.maid import MAID, MAIDState, error_bound
from undegrade.bilevel.problem import Bilevel
from undegrade.core.image import norm
from undegrade.core.objective import Fidelity, Objective
from undegrade.core.solver import solve
from undegrade.core.stopping import Status, until
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.operators.dense import Dense
from undegrade.operators.identity import Identity
from undegrade.priors.box import Box
from undegrade.priors.lp_norm import LpNorm
from undegrade.priors.sobolev import Sobolev
from undegrade.priors.tikhonov import Tikhonov
from undegrade.solvers.gradient_descent import GradientDescent
from undegrade.solvers.lbfgs import LBFGS
from undegrade.solvers.proximal_gradient import ProximalGradient

PENALTY = 0.2
every = pytest.mark.parametrize("maid", BILEVEL_SOLVERS.values(), ids=BILEVEL_SOLVERS.keys())


def quadratic(rows: slice = slice(None)) -> Objective[Bilevel, Tikhonov]:
    """Upper ½‖x − t‖² + 0.1‖θ‖², lower ½‖Ax − Bθ‖² + ½‖x‖²: x̂ and the minimizer are linear."""
    target, A, B = uniform(2, 1, 1, 6, seed=5)[rows], uniform(7, 6), uniform(7, 4, seed=1)

    def objective(theta: Tensor) -> Objective[Any, Any]:
        data = Fidelity(Dense(A), Gaussian(1.0), theta @ B.T)
        return Objective(data, Tikhonov(), 1.0)

    lower = LowerLevel(
        objective=objective,
        solver=GradientDescent(),
        stop=until(iterations=500, residual=1e-14),
        start=torch.zeros_like(target),
    )
    upper = Fidelity(Identity(), Gaussian(1.0), target)
    return Objective(Bilevel(upper, lower, Implicit(tolerance=1e-10)), Tikhonov(), PENALTY)


def minimizer() -> Tensor:
    target, A, B = uniform(2, 1, 1, 6, seed=5), uniform(7, 6), uniform(7, 4, seed=1)
    map = torch.linalg.solve(A.T @ A + torch.eye(6), A.T @ B)
    normal = map.T @ map + PENALTY * torch.eye(4)
    return torch.linalg.solve(normal, (target @ map).transpose(-1, -2)).transpose(-1, -2)


START = torch.ones(2, 1, 1, 4, dtype=torch.float64)


def inexact(name: str, epsilon: float) -> tuple[MAIDState, Tensor]:
    """The state of MAID at an upper variable, and the true hypergradient there."""
    case = BILEVEL[name]
    problem = case.problem
    truth = problem.value_and_grad(case.theta)[1]
    slow = GradientDescent() if name == "kernel" else ProximalGradient()
    lower = dataclasses.replace(problem.lower, solver=slow, precondition=None)
    rough = Objective(Bilevel(problem.upper, lower, problem.hypergradient), Tikhonov(), 0.0)
    maid = MAID(epsilon=epsilon, delta=epsilon, lower_iterations=100_000)
    return maid.init(rough, case.theta), truth


@pytest.mark.parametrize("epsilon", [0.3, 1e-2, 1e-4])
@pytest.mark.parametrize("name", ["kernel", "matrix and weight"])
def test_the_error_of_an_inexact_hypergradient_is_below_its_bound(name, epsilon):
    state, truth = inexact(name, epsilon)
    error = norm(state.gradient - truth)
    assert (error <= state.bound).all()
    assert (error > 1e-9 * norm(truth)).all()  # or the law would be idle
    assert (state.distance <= epsilon).all()


@pytest.mark.parametrize("name", ["kernel", "matrix and weight"])
def test_a_bound_follows_the_accuracy_that_is_asked(name):
    bounds = [inexact(name, epsilon)[0].bound for epsilon in (1e-2, 1e-4, 1e-6)]
    assert (bounds[1] < 0.05 * bounds[0]).all()
    assert (bounds[2] < 0.05 * bounds[1]).all()


@every
def test_it_finds_the_minimum_of_a_quadratic_and_certifies_it(maid):
    result = solve(maid, quadratic(), START, stop=until(iterations=400, residual=1e-3))
    assert result.status == (Status.CONVERGED,) * 2
    torch.testing.assert_close(result.x, minimizer(), rtol=0, atol=1e-3 / PENALTY)
    assert (norm(quadratic().grad(result.x)) <= 1e-3).all()


def test_the_true_loss_falls_with_every_accepted_step():
    problem, seen = quadratic(), list[MAIDState]()

    def watch(iteration: int, state: MAIDState) -> dict[str, Tensor]:
        seen.append(state)
        return error_bound(iteration, state)

    result = solve(
        BILEVEL_SOLVERS["maid"], problem, START, stop=until(iterations=25), observe=[watch]
    )
    losses = torch.stack([problem(state.x) for state in seen])
    moved = torch.stack([(b.x != a.x).any(-1).flatten() for a, b in itertools.pairwise(seen)])
    assert moved.sum() > 20
    assert (losses.diff(dim=0) <= 0).all()
    assert (losses.diff(dim=0)[moved] < 0).all()
    assert all({"bound", "lower_iterations"} <= set(record.values) for record in result.trace)
    for state in seen:  # what is said of the value holds
        assert ((problem(state.x) - state.value).abs() <= state.slack).all()


@every
def test_one_sample_never_depends_on_its_neighbors(maid):
    stop = until(iterations=40, residual=1e-4)
    together = solve(maid, quadratic(), START, stop=stop)
    for i in range(2):
        rows = slice(i, i + 1)
        alone = solve(maid, quadratic(rows), START[rows], stop=stop)
        assert alone.iterations == together.iterations[rows]
        torch.testing.assert_close(alone.x, together.x[rows], rtol=1e-6, atol=1e-8)


def test_the_accelerated_form_needs_fewer_lower_iterations():
    spent = [
        solve(maid, quadratic(), START, stop=until(iterations=300, residual=1e-3))
        for maid in BILEVEL_SOLVERS.values()
    ]
    plain, fast = (result.state.lower_iterations for result in spent)
    assert (fast < 0.5 * plain).all()


@pytest.mark.parametrize("solver", [LBFGS(), GradientDescent()], ids=["l-bfgs", "descent"])
def test_smooth_solvers_minimize_a_bilevel_problem_as_it_is(solver):
    result = solve(solver, quadratic(), START, stop=until(iterations=60, residual=1e-8))
    assert result.status == (Status.CONVERGED,) * 2
    torch.testing.assert_close(result.x, minimizer(), rtol=0, atol=1e-3)


def test_what_cannot_be_certified_is_refused():
    y = uniform(1, 1, 1, 5)

    def problem(prior: Callable[[Tensor], Objective[Any, Any]]) -> Objective[Any, Any]:
        stop = until(iterations=10)
        lower = LowerLevel(objective=prior, solver=GradientDescent(), stop=stop, start=y)
        upper = Fidelity(Identity(), Gaussian(1.0), y)
        return Objective(Bilevel(upper, lower, Implicit()), Tikhonov(), 0.0)

    def flat(theta: Tensor) -> Objective[Any, Any]:
        return Objective(Fidelity(Dense(uniform(3, 5)), Gaussian(1.0), theta), LpNorm(1), 1.0)

    theta = torch.ones(1, 1, 1, 3, dtype=y.dtype)
    with pytest.raises(ValueError, match=r"strongly convex lower problem, and .* modulus \[0.0\]"):
        solve(MAID(), problem(flat), theta, stop=until(iterations=3))
    boxed = Objective(quadratic().fidelity, Tikhonov(), 0.0, Box(0.0, 1.0))
    with pytest.raises(ValueError, match="takes no constraint, got Box"):
        MAID().init(boxed, START)


def test_nothing_to_learn_is_learned_at_once():
    """A zero upper gradient: z = 0, ω = 0 where the start is exact, and no division by zero."""
    problem = quadratic()
    still = Bilevel(
        Fidelity(Identity(), Gaussian(1.0), torch.zeros(2, 1, 1, 6, dtype=torch.float64)),
        problem.fidelity.lower,
        Implicit(),
    )
    zero = torch.zeros_like(START)
    result = solve(MAID(), Objective(still, Sobolev(), 1.0), zero, stop=until(iterations=5))
    assert torch.equal(result.x, zero)
    assert all(math.isfinite(r) for r in result.state.residual.tolist())
