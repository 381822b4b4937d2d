"""The smooth solvers against scipy on problems that are not quadratic, free and in a box."""

from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import Tensor

from tests.cases import uniform
from undegrade.core.functional import Functional
from undegrade.core.objective import Fidelity, Objective
from undegrade.core.solver import solve
from undegrade.core.stopping import Status, until
from undegrade.kernels.formulas import gaussian_psf
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.poisson import Poisson
from undegrade.operators.blur import Blur
from undegrade.operators.dense import Dense
from undegrade.operators.function import Function
from undegrade.priors.box import Box
from undegrade.priors.lp_norm import LpNorm
from undegrade.priors.tikhonov import Tikhonov
from undegrade.priors.total_variation import SmoothedTotalVariation
from undegrade.solvers.gradient_descent import GradientDescent
from undegrade.solvers.lbfgs import LBFGS
from undegrade.solvers.line_search import evaluate
from undegrade.solvers.proximal_gradient import ProximalGradient

SHAPE = (2, 3, 9, 8)
Problem = Objective[Any, Any]


def restoration(low: float | None = None, high: float | None = None) -> Problem:
    """Deblurring with smoothed total variation; noise carries many pixels past both bounds."""
    blur = Blur(gaussian_psf(1.0, dtype=torch.float64), "replicate")
    y = 1.6 * uniform(*SHAPE) - 0.3
    box = None if low is None or high is None else Box(low, high)
    weight = torch.tensor([3.0, 30.0], dtype=torch.float64)
    return Objective(
        Fidelity(blur, Gaussian(0.1), y), SmoothedTotalVariation("vectorial"), weight, box
    )


def scipy_minimum(problem: Problem, i: int, low: float | None, high: float | None) -> Tensor:
    """The same by L-BFGS-B: all other samples stay where they are."""
    x0 = uniform(*SHAPE, seed=1)

    def value_and_grad(v: np.ndarray) -> tuple[float, np.ndarray]:
        x = x0.clone()
        x[i] = torch.from_numpy(v).reshape(SHAPE[1:])
        value, gradient = problem.value_and_grad(x)
        return value[i].item(), gradient[i].flatten().numpy()

    bounds = None if low is None else [(low, high)] * x0[i].numel()
    options = {"maxiter": 20000, "maxfun": 20000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 20}
    start = x0[i].clamp(low, high) if low is not None else x0[i]
    found = scipy.optimize.minimize(
        value_and_grad, start.flatten().numpy(), jac=True, method="L-BFGS-B",
        bounds=bounds, options=options,
    )  # fmt: skip
    return torch.from_numpy(found.x).reshape(SHAPE[1:])


@pytest.mark.parametrize("bounds", [(None, None), (0.0, 1.0), (0.3, 0.5)], ids=str)
@pytest.mark.parametrize("solver", [LBFGS(), LBFGS(memory=10), GradientDescent()], ids=repr)
def test_the_minimum_is_that_of_scipy(solver, bounds):
    problem = restoration(*bounds)
    stop = until(iterations=20000, residual=1e-13, every=5)
    result = solve(solver, problem, uniform(*SHAPE, seed=1), stop=stop)
    assert set(result.status) <= {Status.CONVERGED, Status.STALLED}
    for i in range(2):
        best = scipy_minimum(problem, i, *bounds)
        torch.testing.assert_close(result.x[i], best, rtol=0, atol=2e-4)


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (0.3, 0.5)], ids=str)
def test_the_constrained_minimum_satisfies_its_conditions(bounds):
    """Gradient zero inside, pointing out of the box at its bounds; and the bounds are met."""
    low, high = bounds
    problem = restoration(low, high)
    stop = until(iterations=2000, residual=1e-15)
    x = solve(LBFGS(), problem, uniform(*SHAPE, seed=1), stop=stop).x
    gradient, scale = problem.grad(x), problem.grad(torch.zeros(SHAPE).double()).abs().amax()
    at_low, at_high = x == low, x == high
    assert ((x >= low) & (x <= high)).all()
    assert at_low.sum() > 10
    assert at_high.sum() > 10
    assert (gradient[at_low] > -1e-6 * scale).all()
    assert (gradient[at_high] < 1e-6 * scale).all()
    assert gradient[~(at_low | at_high)].abs().amax() < 1e-5 * scale


@pytest.mark.parametrize(("solver", "factor"), [(LBFGS(), 30), (GradientDescent(), 300)], ids=repr)
def test_a_better_tolerance_means_a_better_value(solver, factor):
    problem, x0 = restoration(0.0, 1.0), uniform(*SHAPE, seed=1)
    best = problem(solve(LBFGS(memory=10), problem, x0, stop=until(iterations=2000)).x)
    for tolerance in (1e-2, 1e-4, 1e-6):
        stop = until(iterations=5000, residual=tolerance)
        gap = problem(solve(solver, problem, x0, stop=stop).x) / best - 1
        assert (gap <= factor * tolerance).all()


def test_steps_that_know_the_curvature_make_few_iterations():
    x0, stop = uniform(*SHAPE, seed=1), until(iterations=5000, residual=1e-6)
    assert max(solve(GradientDescent(), restoration(), x0, stop=stop).iterations) < 300
    assert max(solve(LBFGS(), restoration(), x0, stop=stop).iterations) < 60


def test_the_value_never_rises():
    problem, values = restoration(0.0, 1.0), []

    def watch(iteration: int, state: Any) -> dict[str, Tensor]:
        del iteration
        values.append(state.value)
        return {}

    solve(LBFGS(), problem, uniform(*SHAPE, seed=1), stop=until(iterations=60), observe=[watch])
    values = torch.stack(values)
    assert (values.diff(dim=0) <= 1e-12 * values[0]).all()


def test_one_evaluation_per_iteration_nearly_always():
    problem, calls = restoration(), []
    inner = problem.fidelity.value_and_grad

    def counted(x: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(1)
        return inner(x)

    problem.fidelity.value_and_grad = counted
    result = solve(LBFGS(), problem, uniform(*SHAPE, seed=1), stop=until(iterations=50))
    assert result.iterations == (50, 50)
    assert len(calls) <= 75


@pytest.mark.parametrize("solver", [LBFGS(), GradientDescent()], ids=repr)
@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_the_scale_of_the_objective_does_not_matter(solver, scale):
    def scaled(factor: float) -> Problem:
        blur, y = Blur(gaussian_psf(1.0, dtype=torch.float64), "reflect"), uniform(*SHAPE)
        fidelity = Fidelity(blur, Gaussian(0.1 / factor**0.5), y)
        return Objective(fidelity, SmoothedTotalVariation("vectorial"), 10 * factor)

    stop, x0 = until(iterations=5000, residual=1e-10), uniform(*SHAPE, seed=1)
    plain, other = (solve(solver, scaled(factor), x0, stop=stop) for factor in (1.0, scale))
    torch.testing.assert_close(plain.x, other.x, rtol=0, atol=1e-3)
    assert max(other.iterations) <= 2 * max(plain.iterations)


def test_few_photons_and_a_box():
    """Poisson: curvature differs a thousandfold between dark and bright pixels."""
    blur = Blur(gaussian_psf(0.8, dtype=torch.float64), "replicate")
    y = Poisson(20.0).sample(uniform(*SHAPE), torch.Generator().manual_seed(0))
    problem = Objective(Fidelity(blur, Poisson(20.0), y), SmoothedTotalVariation(), 1.0, Box())
    stop = until(iterations=2000, residual=1e-9)
    quick = solve(LBFGS(), problem, y, stop=stop)
    slow = solve(GradientDescent(), problem, y, stop=until(iterations=20000, residual=1e-11))
    assert quick.status == (Status.CONVERGED,) * 2
    torch.testing.assert_close(problem(quick.x), problem(slow.x), rtol=1e-6, atol=0)


def test_a_non_convex_fit_descends_to_a_stationary_point():
    wave = Function(lambda x: (3 * x).sin())
    problem = Objective(
        Fidelity(wave, Gaussian(0.1), uniform(*SHAPE)), SmoothedTotalVariation(), 0.5
    )
    x0 = 4 * uniform(*SHAPE, seed=1)
    result = solve(LBFGS(), problem, x0, stop=until(iterations=3000, residual=1e-12))
    assert problem.grad(result.x).abs().amax() < 1e-4 * problem.grad(x0).abs().amax()


class _Cliff(Functional):
    """−Σ log(1 − x): infinite from 1 on, NaN beyond."""

    def forward(self, x: Tensor) -> Tensor:
        return -(1 - x).log().flatten(1).sum(1)


def test_steps_that_leave_the_domain_are_taken_back():
    fidelity = Fidelity(Function(lambda x: x), Gaussian(0.01), torch.full(SHAPE, 1.2).double())
    problem = Objective(fidelity, _Cliff(), 1.0)
    for solver in (LBFGS(), GradientDescent()):
        stop = until(iterations=500, residual=1e-10)
        result = solve(solver, problem, torch.zeros(SHAPE).double(), stop=stop)
        assert set(result.status) <= {Status.CONVERGED, Status.STALLED}
        assert problem.grad(result.x).abs().amax() < 1.0  # 1e4 · 1.2 at the start


def test_sparse_deconvolution_is_that_of_coordinate_descent():
    """½‖Ax − y‖²/std² + λ‖x‖₁ on a small dense matrix."""
    blur = Blur(gaussian_psf(1.0, size=3, dtype=torch.float64), "zero")
    y = uniform(1, 1, 5, 6)
    problem = Objective(Fidelity(blur, Gaussian(0.5), y), LpNorm(), 0.6)
    stop = until(iterations=20000, residual=1e-12)
    x = solve(ProximalGradient(), problem, y, stop=stop).x
    matrix = blur(torch.eye(30, dtype=y.dtype).reshape(30, 1, 5, 6)).flatten(1).T * 2
    best, target = torch.zeros(30, dtype=y.dtype), 2 * y.flatten()
    for k in 300 * list(range(30)):
        column = matrix[:, k]
        free = column @ (target - matrix @ best) + column @ column * best[k]
        best[k] = free.sign() * (free.abs() - 0.6).clamp(min=0) / (column @ column)
    assert (x == 0).sum() > 3
    torch.testing.assert_close(x.flatten(), best, rtol=0, atol=1e-6)


class _Distance(Functional):
    """Σ √((x − y)² + ε): hardly curved far from y, and much so near it."""

    def __init__(self, y: Tensor) -> None:
        super().__init__()
        self.y = y

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.y).square() + 1e-2).sqrt().flatten(1).sum(1)


def test_an_underestimated_lipschitz_constant_is_found_out():
    y = uniform(*SHAPE)
    problem, start = Objective(_Distance(y), LpNorm(), 0.5), torch.full(SHAPE, 30.0).double()
    stop = until(iterations=5000, residual=1e-11)
    result = solve(ProximalGradient(), problem, start, stop=stop)
    assert result.status == (Status.CONVERGED,) * 2
    expected = (y - 0.1 * 0.5 / 0.75**0.5).clamp(min=0)
    torch.testing.assert_close(result.x, expected, rtol=0, atol=1e-6)


def test_pixels_at_a_wall_do_not_slow_the_others_down():
    """Two metrics: the quasi-Newton step of free pixels knows nothing of those at the walls.

    Every free pixel is coupled to one that the wall holds, whose gradient changes a hundred times
    as much as its own when it moves. The wall holds them all the way, so that the free pixels
    alone are a problem with the same iterates.
    """
    n = 20
    free = torch.cat((torch.logspace(0, 0.75, n).diag(), torch.eye(n))).double()
    held = torch.cat((torch.zeros(n, n), 100 * torch.eye(n))).double()
    pull = torch.cat((0.5 * torch.ones(n), -0.01 * torch.ones(n))).double().reshape(1, 1, 1, -1)

    def iterations(matrix: Tensor) -> int:
        problem = Objective(Fidelity(Dense(matrix), Gaussian(1.0), pull), Tikhonov(), 0.0, Box())
        x0 = torch.zeros(1, 1, 1, matrix.shape[1]).double()
        stop = until(iterations=1000, residual=1e-10)
        return solve(LBFGS(), problem, x0, stop=stop).iterations[0]

    assert iterations(torch.cat((free, held), 1)) <= 1.5 * iterations(free)


def test_bad_settings_say_what_was_expected():
    for make, message in (
        (lambda: LBFGS(memory=0), "1 step or more, got 0"),
        (lambda: GradientDescent(memory=1.5), r"in \[0, 1\], got 1.5"),
        (lambda: ProximalGradient(power_iterations=0), "1 power iteration or more, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


def test_one_image_in_a_box_never_depends_on_its_neighbors():
    problem, x0 = restoration(0.0, 1.0), uniform(*SHAPE, seed=1)
    stop = until(iterations=2000, residual=1e-6)
    together = solve(LBFGS(), problem, x0, stop=stop)
    for i in range(2):
        rows = slice(i, i + 1)
        fidelity = Fidelity(problem.fidelity.operator, Gaussian(0.1), problem.fidelity.y[rows])
        alone = Objective(fidelity, problem.prior, problem.weight[rows], problem.constraint)
        result = solve(LBFGS(), alone, x0[rows], stop=stop)
        assert result.iterations == together.iterations[rows]
        torch.testing.assert_close(result.x, together.x[rows], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("memory", [1, 3])
def test_no_more_steps_are_remembered_than_asked_for(memory):
    x0 = uniform(*SHAPE, seed=1)
    result = solve(LBFGS(memory=memory), restoration(), x0, stop=until(iterations=8))
    assert len(result.state.pairs) == memory


def test_the_slope_along_a_path_is_that_of_the_projected_path():
    problem, x = restoration(0.0, 1.0), uniform(*SHAPE, seed=1)
    direction = 4 * uniform(*SHAPE, seed=2) - 2
    gradient = problem.grad(x)

    def at(step: float) -> tuple[Tensor, Tensor]:
        steps = torch.full((2,), step, dtype=x.dtype)
        point, slope, _ = evaluate(problem, x, gradient, direction, steps)
        return point.value, slope

    for step in (0.1, 0.4):
        slope = (at(step + 1e-6)[0] - at(step - 1e-6)[0]) / 2e-6
        torch.testing.assert_close(at(step)[1], slope, rtol=1e-4, atol=1e-4)
