"""Hypergradients against closed forms and differences; what cannot be differentiated is refused."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.cases import BILEVEL, uniform
from undegrade.bilevel.hypergradient import Implicit, Unrolled
from undegrade.bilevel.lower_level import LowerLevel
from undegrade.bilevel.optimality import ProximalStep
from undegrade.bilevel.problem import Bilevel
from undegrade.core.functional import Functional
from undegrade.core.image import per_sample
from undegrade.core.objective import Fidelity, Objective
from undegrade.core.stopping import until
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.operators.identity import Identity
from undegrade.operators.mask import Mask
from undegrade.priors.box import Box
from undegrade.priors.finite_difference import FiniteDifference
from undegrade.priors.lp_norm import LpNorm
from undegrade.priors.tikhonov import Tikhonov
from undegrade.solvers.conjugate_gradient import ConjugateGradient
from undegrade.solvers.proximal_gradient import ProximalGradient

every = pytest.mark.parametrize("name", BILEVEL)


def misfit(target: Tensor) -> Functional:
    return Fidelity(Identity(), Gaussian(1.0), target)


def shrinkage(y: Tensor, prior: Functional | None = None) -> Callable[[Tensor], Objective]:
    """½‖x − y‖² + e^θ·½‖x‖², one weight for all of y: the minimizer is y/(1 + e^θ)."""

    def objective(theta: Tensor) -> Objective:
        weight = theta[:, 0].exp().repeat_interleave(len(y) // len(theta))
        return Objective(misfit(y), prior or Tikhonov(), weight)

    return objective


def quadratic_level(objective: Callable[[Tensor], Objective], start: Tensor) -> LowerLevel:
    stop = until(iterations=300, residual=1e-13)
    return LowerLevel(objective=objective, solver=ConjugateGradient(), stop=stop, start=start)


@pytest.mark.parametrize(
    "how", [Implicit(tolerance=1e-12), Unrolled(steps=2)], ids=["implicit", "unrolled"]
)
def test_a_weight_has_the_derivative_of_its_closed_form(how):
    y, target, theta = uniform(2, 1, 3, 4), uniform(2, 1, 3, 4, seed=1), uniform(2, 1, seed=2)
    problem = Bilevel(misfit(target), quadratic_level(shrinkage(y), torch.zeros_like(y)), how)
    theta = theta.requires_grad_()
    x = y / (1 + per_sample(theta[:, 0].exp(), y))
    expected = 0.5 * (x - target).square().flatten(1).sum(1)
    (slope,) = torch.autograd.grad(expected.sum(), theta)
    value, gradient = problem.value_and_grad(theta)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, slope)


@every
def test_the_hypergradient_is_the_slope_of_the_value(name):
    case = BILEVEL[name]
    problem, theta, h = case.problem, case.theta, 1e-5
    gradient = problem.value_and_grad(theta)[1]
    assert gradient.shape == theta.shape
    for seed in range(3):
        v = uniform(*theta.shape, seed=30 + seed) - 0.5
        ahead, behind = (problem.value_and_grad(theta + s * h * v)[0] for s in (1, -1))
        slope = (gradient * v).flatten(1).sum(1)
        torch.testing.assert_close(slope, (ahead - behind) / (2 * h), rtol=1e-5, atol=1e-7)


@every
def test_one_sample_never_depends_on_its_neighbors(name):
    case = BILEVEL[name]
    value, gradient = case.problem.value_and_grad(case.theta)
    for i in range(2):
        rows = slice(i, i + 1)
        alone = case.make(rows).value_and_grad(case.theta[rows])
        torch.testing.assert_close(alone[0], value[rows], rtol=1e-7, atol=1e-9)
        torch.testing.assert_close(alone[1], gradient[rows], rtol=1e-6, atol=1e-8)


@every
def test_backward_gives_the_hypergradient_and_arguments_stay(name):
    case = BILEVEL[name]
    theta = case.theta.requires_grad_()
    before = theta.detach().clone()
    weights = torch.tensor([1.0, -2.0], dtype=theta.dtype)
    (weights * case.problem(theta)).sum().backward()
    value, gradient = case.problem.value_and_grad(theta)
    torch.testing.assert_close(theta.grad, per_sample(weights, theta) * gradient)
    torch.testing.assert_close(case.problem(theta), value)
    assert torch.equal(theta, before)


def test_parameters_of_several_samples_take_the_sum():
    y, target = uniform(6, 1, 3, 4), uniform(6, 1, 3, 4, seed=1)
    theta, zero = torch.tensor([[0.3], [-0.4]], dtype=y.dtype), torch.zeros_like(y)
    how = Implicit(tolerance=1e-12)
    shared = Bilevel(misfit(target), quadratic_level(shrinkage(y), zero), how)
    each = Bilevel(misfit(target), quadratic_level(shrinkage(y), zero), how)
    value, gradient = shared.value_and_grad(theta)
    single = each.value_and_grad(theta.repeat_interleave(3, dim=0))
    torch.testing.assert_close(value, single[0].reshape(2, 3).sum(1))
    torch.testing.assert_close(gradient, single[1].reshape(2, 3, 1).sum(1))


def test_where_the_upper_loss_is_flat_the_hypergradient_is_zero():
    """A zero right-hand side of the adjoint system, for one of two samples."""
    y, theta = uniform(2, 1, 3, 4), torch.tensor([[0.3], [-0.4]], dtype=torch.float64)
    best = y / (1 + per_sample(theta[:, 0].exp(), y))
    target = torch.stack((best[0], best[1] + 0.1))
    y, target = y.clone(), target.clone()
    y[0] = target[0] = 0  # the lower solution is 0 to the last bit
    level = quadratic_level(shrinkage(y), torch.zeros_like(y))
    value, gradient = Bilevel(misfit(target), level, Implicit()).value_and_grad(theta)
    assert value[0] == 0
    assert gradient[0] == 0
    assert abs(gradient[1]) > 1e-3


def test_a_lower_problem_that_is_not_strongly_convex_is_refused():
    y = uniform(1, 1, 4, 5)

    def objective(theta: Tensor) -> Objective:
        blind = Fidelity(Mask(torch.zeros(4, 5)), Gaussian(1.0), torch.zeros_like(y))
        return Objective(blind, Tikhonov(FiniteDifference()), theta[:, 0])

    problem = Bilevel(misfit(y + 1), quadratic_level(objective, y), Implicit(iterations=50))
    with pytest.raises(ValueError, match="must be strongly convex"):
        problem.value_and_grad(torch.ones(1, 1, dtype=y.dtype))


def test_what_has_no_derivative_is_refused():
    y, theta = uniform(1, 1, 3, 4), torch.zeros(1, 1, dtype=torch.float64)

    def level(objective: Callable[[Tensor], Objective]) -> LowerLevel:
        stop = until(iterations=200, residual=1e-12)
        return LowerLevel(
            objective=objective, solver=ProximalGradient(), stop=stop, start=y,
            optimality=ProximalStep(),
        )  # fmt: skip

    def fixed(theta: Tensor) -> Objective:
        del theta
        return Objective(misfit(y), Tikhonov(), 1.0)

    mixing = Bilevel(misfit(y), level(shrinkage(y, LpNorm(2, 1))), Implicit())
    with pytest.raises(ValueError, match="LpNorm does not"):
        mixing.value_and_grad(theta)
    for how in (Implicit(), Unrolled(steps=3)):
        with pytest.raises(ValueError, match="does not depend"):
            Bilevel(misfit(y), quadratic_level(fixed, y), how).value_and_grad(theta)
    with pytest.raises(ValueError, match="no Hessian products"):
        mixing.hvp(theta, theta)
    with pytest.raises(ValueError, match="1 step or more"):
        Unrolled(steps=0)


def test_a_constraint_is_refused():
    y, theta = uniform(1, 1, 3, 4), torch.zeros(1, 1, dtype=torch.float64)

    def boxed(theta: Tensor) -> Objective:
        return Objective(misfit(y), Tikhonov(), theta[:, 0].exp(), Box(0.0, 1.0))

    from undegrade.solvers.lbfgs import LBFGS

    stop = until(iterations=50, residual=1e-12)
    level = LowerLevel(objective=boxed, solver=LBFGS(), stop=stop, start=y)
    with pytest.raises(ValueError, match="without constraint, got Box"):
        Bilevel(misfit(y), level, Implicit()).value_and_grad(theta)


def test_a_sample_that_is_not_finite_leaves_its_neighbor_alone():
    y, theta = uniform(2, 1, 3, 4), torch.tensor([[0.3], [-0.4]], dtype=torch.float64)
    broken = y.clone()
    broken[1] = math.nan
    how = Implicit(tolerance=1e-12)
    whole, part = (
        Bilevel(misfit(0.5 * y), quadratic_level(shrinkage(data), torch.zeros_like(y)), how)
        for data in (y, broken)
    )
    expected, (value, gradient) = whole.value_and_grad(theta), part.value_and_grad(theta)
    assert value[1].isnan()
    torch.testing.assert_close(value[0], expected[0][0])
    torch.testing.assert_close(gradient[0], expected[1][0])
