"""Levenberg–Marquardt where φ is not linear: decrease, speed, clipping, what is not finite."""

import itertools

import torch
from torch import Tensor

from tests.cases import uniform
from undegrade.core.objective import Fidelity, Objective
from undegrade.core.solver import solve
from undegrade.core.stopping import Status, until
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.poisson import Poisson
from undegrade.likelihoods.saturated import Saturated
from undegrade.operators.blur import Blur
from undegrade.operators.function import Function
from undegrade.operators.response import Response
from undegrade.operators.response_curves import Gamma
from undegrade.priors.box import Box
from undegrade.priors.tikhonov import Tikhonov
from undegrade.priors.total_variation import SmoothedTotalVariation, TotalVariation
from undegrade.solvers.lbfgs import LBFGS
from undegrade.solvers.levenberg_marquardt import LevenbergMarquardt
from undegrade.solvers.preconditioner import probed_diagonal


def camera(weight: float = 0.1, constraint: Box | None = None, likelihood=None) -> Objective:
    A = Response(Gamma(2.2)) @ Blur(torch.ones(3, 3, dtype=torch.float64) / 9, "reflect")
    noise = likelihood or Gaussian(0.05)
    y = noise.sample(A(uniform(2, 1, 6, 5)), torch.Generator().manual_seed(0))
    return Objective(Fidelity(A, noise, y), SmoothedTotalVariation(), weight, constraint)


def values(problem: Objective, x0: Tensor, steps: int, solver=None) -> Tensor:
    solver = solver or LevenbergMarquardt()
    state, seen = solver.init(problem, x0), []
    for _ in range(steps):
        seen.append(problem(state.x))
        state = solver.step(problem, state)
    return torch.stack([*seen, problem(state.x)])


def test_the_value_never_rises_and_ends_below_lbfgs():
    for likelihood in (Gaussian(0.05), Poisson(20.0), Saturated(Gaussian(0.05), 0.8)):
        problem = camera(likelihood=likelihood)
        x0 = problem.fidelity.operator.initial(problem.fidelity.y.clamp(min=0.1))
        seen = values(problem, x0, 40)
        assert (seen.diff(dim=0) <= 1e-9 * seen[0].abs()).all()
        best = values(problem, x0, 40, LBFGS())[-1]
        assert (seen[-1] <= best + 1e-6 * best.abs()).all()


def test_a_box_is_kept_and_its_minimum_found():
    problem = camera(0.01, Box(0.2, 0.7))
    x0 = torch.full((2, 1, 6, 5), 0.5, dtype=torch.float64)
    stop = until(iterations=40)
    x = solve(LevenbergMarquardt(), problem, x0, stop=stop).x
    assert x.min() >= 0.2
    assert x.max() <= 0.7
    assert ((x == 0.2) | (x == 0.7)).any()
    best = solve(LBFGS(), problem, x0, stop=until(iterations=60)).x
    torch.testing.assert_close(problem(x), problem(best), rtol=1e-5, atol=0)


def test_the_rate_is_superlinear_where_nothing_is_left():
    """A zero-residual problem: each error is a smaller part of the last than the one before."""
    truth = 0.3 + 0.5 * uniform(1, 1, 4, 5)
    A = Function(lambda x: x + 0.3 * x**3 + 0.1 * x.roll(1, -1) ** 2)
    problem = Objective(Fidelity(A, Gaussian(1.0), A(truth)), Tikhonov(), 0.0)
    solver = LevenbergMarquardt(damping=1e-3, cg_iterations=60)
    state, errors = solver.init(problem, truth + 0.3 * uniform(1, 1, 4, 5, seed=5)), []
    for _ in range(12):
        errors.append((state.x - truth).norm().item())
        state = solver.step(problem, state)
    useful = [e for e in errors if e > 1e-10]
    rates = [b / a for a, b in itertools.pairwise(useful)]
    assert errors[-1] < 1e-9
    assert rates[-1] < 0.1 * rates[0]


def test_the_dual_of_total_variation_makes_the_rate_superlinear():
    """Huber's total variation with many edges: the lagged curvature alone is linear."""
    prior = TotalVariation("vectorial", 0.004)
    y = uniform(1, 2, 12, 11).round() + 0.1 * uniform(1, 2, 12, 11, seed=2)
    blur = Blur(torch.ones(1, 3, dtype=torch.float64) / 3, "reflect")
    problem = Objective(Fidelity(blur, Gaussian(0.1), y), prior, 5.0)
    solver, lagged = LevenbergMarquardt(cg_iterations=300), []
    for carries in (True, False):
        state = solver.init(problem, y)
        for _ in range(25):
            state = solver.step(problem, state)
            state = state if carries else state._replace(dual=0 * state.dual)
        lagged.append(float(state.gradient.norm() / state.first))
    assert lagged[0] < 1e-9
    assert lagged[1] > 1e3 * lagged[0]


def test_a_step_that_overshoots_is_shortened_and_not_lost():
    """exp from far below: the whole Gauss–Newton step is too long, a part of it descends."""
    A = Function(torch.exp)
    y = torch.full((1, 1, 2, 2), 5.0, dtype=torch.float64)
    problem = Objective(Fidelity(A, Gaussian(1.0), y), Tikhonov(), 0.0)
    solver = LevenbergMarquardt(damping=1e-6)
    state = solver.init(problem, 0.0 * y)
    after = solver.step(problem, state)
    assert problem(0.0 * y + (y - 1)) > state.value  # the whole step
    assert after.value < state.value
    assert 0.09 <= float((after.x / (y - 1)).mean()) <= 0.5


def test_clipped_entries_leave_the_rest_to_the_prior():
    """φ′ = 0 at clipped entries: no step is infinite, and the other entries are found."""
    A = Function(lambda x: x.clamp(0, 1))
    y = torch.tensor([[[[0.2, 1.0, 0.6, 1.0]]]], dtype=torch.float64)
    problem = Objective(Fidelity(A, Gaussian(0.01), y), Tikhonov(), 0.0)
    x0 = torch.tensor([[[[0.5, 1.4, 0.5, 0.5]]]], dtype=torch.float64)
    x = solve(LevenbergMarquardt(), problem, x0, stop=until(iterations=40)).x
    torch.testing.assert_close(x[..., ::2], y[..., ::2], rtol=0, atol=1e-6)
    assert x[0, 0, 0, 1] == 1.4
    assert 0.999 <= x[0, 0, 0, 3] < 2


def test_what_is_not_finite_is_never_kept():
    A = Function(lambda x: x.log())
    start = torch.full((2, 1, 3, 3), 0.05, dtype=torch.float64)
    y = torch.full_like(start, -8.0)  # a full Gauss–Newton step leads below 0
    problem = Objective(Fidelity(A, Gaussian(0.1), y), Tikhonov(), 0.0)
    result = solve(LevenbergMarquardt(damping=1e-6), problem, start, stop=until(iterations=80))
    torch.testing.assert_close(result.x.log(), y, rtol=1e-3, atol=0)
    start[1] = torch.nan
    lost = solve(LevenbergMarquardt(), problem, start, stop=until(iterations=5))
    assert lost.status[1] is Status.DIVERGED
    assert lost.x[0].isfinite().all()


def test_the_diagonal_of_neighbors_is_exact():
    prior = SmoothedTotalVariation("anisotropic", 0.1)
    x = uniform(1, 1, 4, 5)
    curved = prior.curvature(x)
    units = torch.eye(20, dtype=torch.float64).reshape(20, 1, 1, 4, 5)
    exact = torch.stack([(curved(e) * e).sum() for e in units]).reshape(1, 1, 4, 5)
    torch.testing.assert_close(probed_diagonal(curved, x), exact)
