"""What an objective adds to its parts."""

import math

import pytest
import torch
from torch import nn

from tests.cases import OPERATORS, uniform
from undegrade.core.image import per_sample
from undegrade.core.objective import Fidelity, Objective
from undegrade.core.operator import LinearOperator
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.laplace import Laplace
from undegrade.likelihoods.poisson import Poisson
from undegrade.operators.blur import Blur
from undegrade.operators.identity import Identity
from undegrade.priors.box import Box
from undegrade.priors.tikhonov import Tikhonov
from undegrade.priors.total_variation import TotalVariation

SHAPE = (2, 3, 4, 5)


@pytest.fixture
def fidelity() -> Fidelity:
    return Fidelity(Identity(), Gaussian(0.5), uniform(*SHAPE))


def test_the_weight_multiplies_the_prior_of_its_sample(fidelity):
    x, weight = uniform(*SHAPE, seed=1), torch.tensor([0.5, 2.0], dtype=torch.float64)
    value = Objective(fidelity, Tikhonov(), weight)(x)
    torch.testing.assert_close(value, fidelity(x) + weight * Tikhonov()(x))


def test_a_constraint_counts_in_the_value_and_projects(fidelity):
    objective = Objective(fidelity, Tikhonov(), 1.0, Box(0.25, 0.75))
    x = torch.stack((torch.full(SHAPE[1:], 0.5), torch.full(SHAPE[1:], 0.9))).double()
    assert objective(x)[0].isfinite()
    assert objective(x)[1] == math.inf
    assert objective.value_and_grad(x)[0].isfinite().all()
    assert objective.project(x).amax() == 0.75
    assert torch.equal(Objective(fidelity, Tikhonov(), 1.0).project(x), x)


def test_a_negative_weight_is_refused(fidelity):
    with pytest.raises(ValueError, match=r"0 or more, got \[1.0, -1.0\]"):
        Objective(fidelity, Tikhonov(), torch.tensor([1.0, -1.0]))


def test_only_what_may_be_learned_is_a_parameter(fidelity):
    fixed = Objective(fidelity, Tikhonov(), torch.tensor([0.1]))
    assert not list(fixed.parameters())
    blur = Blur(nn.Parameter(torch.ones(3, 3) / 9))
    learned = Objective(
        Fidelity(blur, Gaussian(0.5), uniform(*SHAPE)),
        Tikhonov(),
        nn.Parameter(torch.tensor([0.1])),
    )
    assert {name for name, _ in learned.named_parameters()} == {"weight", "fidelity.operator.psf"}


NONLINEAR = {n: c for n, c in OPERATORS.items() if not isinstance(c.operator, LinearOperator)}


def test_the_curvature_of_a_linear_model_is_its_hessian(fidelity):
    fidelity.operator = Blur(torch.ones(3, 3, dtype=torch.float64) / 9, "reflect")
    x, v = uniform(*SHAPE, seed=2), uniform(*SHAPE, seed=3)
    torch.testing.assert_close(fidelity.curvature(x)(v), fidelity.hvp(x, v))


@pytest.mark.parametrize("likelihood", [Gaussian(0.5), Poisson(9.0), Laplace(0.3)])
@pytest.mark.parametrize("case", NONLINEAR.values(), ids=NONLINEAR.keys())
def test_the_gauss_newton_product_is_that_of_the_matrices(case, likelihood):
    """JᵀWJ v, J written out column by column from differences."""
    A, x, v = case.operator, case.image(), case.image(2) - 0.5
    y, h = 0.1 + A(x) * uniform(*A(x).shape, seed=5), 1e-6
    product = Fidelity(A, likelihood, y).curvature(x)(v)
    for i in range(len(x)):
        one, rows = x[i : i + 1], []
        for e in torch.eye(one.numel(), dtype=x.dtype).reshape(-1, *one.shape):
            rows.append(((A(one + h * e) - A(one - h * e)) / (2 * h)).flatten())
        J = torch.stack(rows, dim=1)
        W = likelihood.curvature(A(one), y[i : i + 1]).flatten()
        expected = J.T @ (W * (J @ v[i].flatten()))
        torch.testing.assert_close(product[i].flatten(), expected, rtol=1e-6, atol=1e-6)


def test_the_curvature_of_an_objective_adds_up(fidelity):
    prior, weight = TotalVariation(smoothing=0.1), torch.tensor([0.5, 2.0], dtype=torch.float64)
    x, v = uniform(*SHAPE, seed=2), uniform(*SHAPE, seed=3)
    expected = 4 * v + per_sample(weight, x) * prior.curvature(x)(v)
    torch.testing.assert_close(Objective(fidelity, prior, weight).curvature(x)(v), expected)
