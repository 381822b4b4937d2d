"""The priors that bilevel methods learn or use, against other ways to write them."""

import numpy as np
import pytest
import torch

from tests.cases import uniform
from undegrade.priors.elastic_net import ElasticNet
from undegrade.priors.fields_of_experts import FieldsOfExperts, dct_filters
from undegrade.priors.lp_norm import LpNorm
from undegrade.priors.sobolev import Sobolev


def test_an_elastic_net_is_its_two_norms() -> None:
    x = uniform(2, 1, 3, 4) - 0.5
    torch.testing.assert_close(ElasticNet(0.3)(x), LpNorm(1)(x) + 0.15 * LpNorm(2, 2)(x))


def test_sobolev_counts_the_step_down_to_zero_around_a_kernel() -> None:
    k = uniform(2, 1, 3, 5).numpy()
    wide = np.pad(k, ((0, 0), (0, 0), (1, 1), (1, 1)))
    expected = sum((np.diff(wide, axis=a) ** 2).sum((1, 2, 3)) for a in (2, 3))
    expected = expected + (k**2).sum((1, 2, 3))
    np.testing.assert_allclose(Sobolev()(torch.from_numpy(k)), expected)


def test_the_experts_ignore_a_constant_and_work_per_window() -> None:
    filters, weights = uniform(2, 3, 3), torch.tensor([-1.0, 0.5], dtype=torch.float64)
    smoothing = torch.tensor([-4.0, -3.0], dtype=torch.float64)
    exponents = torch.tensor([1.0, 0.3], dtype=torch.float64)
    prior = FieldsOfExperts(filters, weights, smoothing, exponents)
    x = uniform(1, 2, 5, 4)
    torch.testing.assert_close(prior(x + 0.7), prior(x))
    wide = torch.from_numpy(np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), "reflect"))
    windows = wide.unfold(2, 3, 1).unfold(3, 3, 1)
    centered = filters - filters.mean((1, 2), keepdim=True)
    answers = torch.einsum("bcijst,kst->bcijk", windows, centered)
    powers = (answers.square() + smoothing.exp()) ** (exponents / 2)
    cost = ((powers - (smoothing * exponents / 2).exp()) / exponents).sum((1, 2, 3))
    torch.testing.assert_close(prior(x), cost @ weights.exp())


def test_strips_of_a_picture_are_the_whole_picture(monkeypatch) -> None:
    prior = FieldsOfExperts(dct_filters(3).double(), uniform(8), uniform(8, seed=1) - 4)
    x = uniform(2, 2, 9, 7)
    whole = prior.value_and_grad(x)
    monkeypatch.setattr("undegrade.priors.fields_of_experts._RESPONSES", 1)
    torch.testing.assert_close(prior.value_and_grad(x), whole)


def test_how_concave_experts_are_is_bounded() -> None:
    numbers = [uniform(8, seed=i) - offset for i, offset in enumerate((0, 5, 2))]
    prior = FieldsOfExperts(dct_filters(3).double(), *numbers)
    hessian = torch.autograd.functional.hessian(
        lambda u: prior(u.reshape(1, 1, 5, 5)).sum(), uniform(25)
    )
    least = torch.linalg.eigvalsh(hessian)[0]
    assert float(prior.modulus(uniform(1, 1, 5, 5))) <= least < 0
    convex = FieldsOfExperts(dct_filters(3).double(), *numbers[:2])
    assert float(convex.modulus(uniform(1, 1, 5, 5))) == 0


def test_cosine_filters_are_orthonormal_and_begin_with_the_slopes() -> None:
    filters = dct_filters(4).double().flatten(1)
    assert filters.shape == (15, 16)
    torch.testing.assert_close(filters @ filters.T, torch.eye(15).double(), atol=1e-6, rtol=0)
    assert filters.sum(1).abs().max() < 1e-6
    first = dct_filters(4, 2)
    assert any(torch.allclose(f[0], f[1]) for f in first)  # it varies along one direction only


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="positive, got 0"):
        ElasticNet(0.0)
    with pytest.raises(ValueError, match="got 3 and 9"):
        dct_filters(3, 9)
    with pytest.raises(ValueError, match=r"got shapes \(2, 3, 3\), \(3,\), \(\)"):
        FieldsOfExperts(torch.ones(2, 3, 3), torch.zeros(3), torch.tensor(0.0))
    with pytest.raises(ValueError, match="more than 1 pixels a side, got 1×5"):
        FieldsOfExperts(torch.ones(2, 3, 3), torch.zeros(2), torch.tensor(0.0))(
            torch.zeros(1, 1, 1, 5)
        )
