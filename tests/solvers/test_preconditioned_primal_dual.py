"""Alternating directions against descent on smoothed total variation deblurring."""

from typing import Any

import pytest
import torch

from tests.cases import uniform
from undegrade.core.objective import Objective
from undegrade.core.solver import solve
from undegrade.core.stopping import Status, until
from undegrade.kernels.formulas import gaussian_psf
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.linear_algebra.least_squares import LeastSquares
from undegrade.operators.blur import Blur
from undegrade.operators.mask import Mask
from undegrade.priors.box import Box
from undegrade.priors.total_variation import TotalVariation
from undegrade.solvers.lbfgs import LBFGS
from undegrade.solvers.preconditioned_primal_dual import PreconditionedPrimalDual

SHAPE = (2, 3, 12, 15)


def deblurring(weight: float = 20.0) -> Objective[Any, Any]:
    blur = Blur(gaussian_psf(1.0, dtype=torch.float64), "periodic")
    steps = (uniform(*SHAPE) > 0.5).double().cumsum(-1) / 15
    y = Gaussian(0.02).sample(blur(steps), torch.Generator().manual_seed(0))
    std = torch.tensor([0.02, 0.05], dtype=torch.float64)
    return Objective(LeastSquares(blur, y, std), TotalVariation("isotropic", 0.02), weight)


def test_it_comes_to_the_minimum_that_descent_finds():
    problem, x0 = deblurring(), uniform(*SHAPE, seed=1)
    other = solve(LBFGS(memory=10), problem, x0, stop=until(iterations=3000, residual=1e-13))
    stop = until(iterations=1500, residual=1e-6)
    for solver in (PreconditionedPrimalDual(), PreconditionedPrimalDual(ratio=0.2, relaxation=1.0)):
        result = solve(solver, problem, x0, stop=stop)
        assert result.status == (Status.CONVERGED,) * 2
        torch.testing.assert_close(problem(result.x), problem(other.x), rtol=1e-5, atol=0)
        torch.testing.assert_close(result.x, other.x, rtol=0, atol=5e-3)


def test_without_a_weight_it_is_least_squares():
    problem = deblurring(weight=0.0)
    stop = until(iterations=1500, residual=1e-5)
    result = solve(PreconditionedPrimalDual(), problem, uniform(*SHAPE, seed=1), stop=stop)
    assert torch.isfinite(result.x).all()
    assert (problem(result.x) < 1e-3 * problem(uniform(*SHAPE, seed=1))).all()


def test_what_it_cannot_do_is_refused_with_advice():
    y, prior = uniform(*SHAPE), TotalVariation("isotropic")
    for operator in (
        Mask(uniform(12, 15) > 0.5),
        Blur(gaussian_psf(1.0, dtype=torch.float64), "replicate"),
    ):
        problem = Objective(LeastSquares(operator, y, 0.1), prior, 1.0)
        with pytest.raises(ValueError, match=r"periodic boundary.*use PrimalDual or LBFGS"):
            PreconditionedPrimalDual().init(problem, y)
    problem = deblurring()
    problem.constraint = Box()
    with pytest.raises(ValueError, match="takes no constraint, got Box"):
        PreconditionedPrimalDual().init(problem, y)
    with pytest.raises(ValueError, match=r"got 0.03 and 2.0"):
        PreconditionedPrimalDual(relaxation=2.0)
