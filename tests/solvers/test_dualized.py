"""The dualized objective: half-steps in compiled loops against those of every composite."""

import functools

import pytest
import torch

import undegrade as ud
from tests.cases import uniform
from undegrade.core.functional import Composite
from undegrade.core.likelihood import Likelihood
from undegrade.priors import total_variation_compiled as compiled
from undegrade.solvers.dualized import Dualized

LIKELIHOODS: dict[str, Likelihood] = {
    "gaussian": ud.Gaussian(0.2),
    "laplace": ud.Laplace(torch.tensor([0.1, 0.3])),
    "poisson": ud.Poisson(20.0),
}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_compiled_half_steps_are_those_of_a_composite(name, monkeypatch):
    monkeypatch.setattr(compiled, "SMALLEST", 1)
    y, x = uniform(2, 3, 6, 5), uniform(2, 3, 6, 5, seed=1)
    fidelity = ud.Fidelity(ud.Blur(ud.gaussian_psf(0.8, 3), "zero"), LIKELIHOODS[name], y)
    weight = torch.tensor([0.7, 3.0], dtype=y.dtype)
    both = Dualized(fidelity, ud.TotalVariation("vectorial", 0.1), weight, x)
    p = uniform(*both.inner(x).shape, seed=2) - 0.5
    step, scale = torch.tensor([0.3, 0.1]).to(x), torch.tensor([1.0, 0.6]).to(x)
    expected = Composite.ascend(both, p.clone(), x, step, scale)
    torch.testing.assert_close(both.ascend(p.clone(), x, step, scale), expected)
    torch.testing.assert_close(both.descend(x, p, step), Composite.descend(both, x, p, step))


def test_a_derivative_through_a_half_step_is_that_of_a_composite():
    y, x = uniform(2, 3, 6, 5), uniform(2, 3, 6, 5, seed=1)
    fidelity = ud.Fidelity(ud.Identity(), ud.Laplace(0.1), y)
    weight = torch.tensor([0.7, 3.0], dtype=y.dtype, requires_grad=True)
    both = Dualized(fidelity, ud.TotalVariation("vectorial", 0.1), weight, x)
    p, ones = uniform(*both.inner(x).shape, seed=2) - 0.5, torch.ones(2).to(x)
    found, expected = (
        torch.autograd.grad(ascend(p.clone(), x, ones, ones).square().sum(), weight)[0]
        for ascend in (both.ascend, functools.partial(Composite.ascend, both))
    )
    assert expected.all()
    torch.testing.assert_close(found, expected)
