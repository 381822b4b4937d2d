"""Laws of every likelihood. A new one is covered once it is in tests/cases.py."""

import copy

import pytest
import torch
from torch import Tensor

from tests.cases import LIKELIHOODS, LikelihoodCase, uniform
from undegrade.core.image import dot
from undegrade.core.likelihood import Likelihood, NoiseModel


@pytest.fixture(params=LIKELIHOODS.values(), ids=LIKELIHOODS.keys())
def case(request: pytest.FixtureRequest) -> LikelihoodCase:
    return request.param


@pytest.fixture
def likelihood(case: LikelihoodCase) -> NoiseModel:
    return case.likelihood


def test_value_and_gradient_are_what_autograd_says(case, likelihood):
    u, y = case.prediction(seed=5), case.measured()
    value, gradient = likelihood.value_and_grad(u, y)
    expected = Likelihood.value_and_grad(likelihood, u, y)
    torch.testing.assert_close(value, expected[0])
    torch.testing.assert_close(value, likelihood(u, y))
    torch.testing.assert_close(gradient, expected[1])


def test_the_gradient_is_the_slope_of_the_value(case, likelihood):
    u, y = case.prediction(seed=5), case.measured()
    assert torch.autograd.gradcheck(lambda u: likelihood(u, y), u.requires_grad_())


def test_stronger_noise_is_the_same_with_larger_deviations(case, likelihood):
    """The variance of samples around the prediction, where none is lost, grows by the square."""
    u = case.prediction()

    def variance(noise: NoiseModel) -> Tensor:
        generator = torch.Generator().manual_seed(4)
        draws = [noise.sample(u, generator) for _ in range(600)]
        errors = [torch.where(noise.precision(y) > 0, y - u, torch.nan) for y in draws]
        return torch.cat(errors, 2).square().flatten(1).nanmean(1)

    stronger = likelihood.stronger(1.5)
    assert type(stronger) is type(likelihood)
    torch.testing.assert_close(variance(stronger), 2.25 * variance(likelihood), rtol=0.05, atol=0)


def test_curvature_is_the_information_or_majorizes(case, likelihood):
    """E[−∂² log p] at the truth where −log p is smooth; at kinks a parabola from above."""
    u = case.prediction()
    if likelihood.smooth:
        generator = torch.Generator().manual_seed(0)
        seen, expected = torch.zeros_like(u), torch.zeros_like(u)
        for _ in range(400):
            y = likelihood.sample(u, generator)
            seen += likelihood.value_and_grad(u, y)[1].square()  # its mean is the information
            expected += likelihood.curvature(u, y)
        torch.testing.assert_close(seen.mean(), expected.mean(), rtol=0.05, atol=0)
        return
    y = case.measured()
    value, slope = likelihood.value_and_grad(u, y)
    curved = likelihood.curvature(u, y)
    # across the kink, to where |u − y| is the same again: there the parabola touches once more
    for reach in (0.5, 1.0, 2.0, 3.0):
        step = reach * (y - u)
        above = value + dot(slope, step) + 0.5 * dot(step, curved * step)
        assert (likelihood(u + step, y) <= above + 1e-3 * value).all()


def test_what_is_called_quadratic_is_its_quadratic_model(case, likelihood):
    u, y = case.prediction(seed=5), case.measured()
    model = 0.5 * dot(u - y, likelihood.precision(y) * (u - y))
    same = torch.allclose(likelihood(u, y), model)
    assert same == likelihood.quadratic


def test_prox_minimizes(case, likelihood):
    v, y = case.prediction(seed=5) * 1.5 - 0.3, case.measured()
    for step in (1e-5, 1e-3, torch.tensor([1e-4, 0.1], dtype=torch.float64)):
        u = likelihood.prox(v, y, step)
        best = _prox_objective(likelihood, u, v, y, step)
        for seed in range(20):
            for size in (1e-1, 1e-3, 1e-5):
                other = u + size * (uniform(*u.shape, seed=seed) - 0.5)
                assert (best <= _prox_objective(likelihood, other, v, y, step) + 1e-12).all()


def _prox_objective(likelihood: NoiseModel, u: Tensor, v: Tensor, y: Tensor, step) -> Tensor:
    return step * likelihood(u, y) + 0.5 * dot(u - v, u - v)


def test_prox_is_firmly_non_expansive(case, likelihood):
    v, w, y = case.prediction(seed=5), case.prediction(seed=6), case.measured()
    p, q = likelihood.prox(v, y, 0.01), likelihood.prox(w, y, 0.01)
    assert (dot(p - q, p - q) <= dot(p - q, v - w) * (1 + 1e-12)).all()


def test_conjugate_is_the_supremum(case, likelihood):
    """Fenchel–Young: f(u) + f*(p) ≥ ⟨p, u⟩ for all u, with equality where p is a slope at u."""
    y = case.measured()
    at = likelihood.prox(case.prediction(seed=5) * 1.5 - 0.3, y, 0.01)
    p = (case.prediction(seed=5) * 1.5 - 0.3 - at) / 0.01  # a subgradient at `at`
    conjugate = likelihood.conjugate(p, y)
    torch.testing.assert_close(conjugate, dot(p, at) - likelihood(at, y))
    for seed in range(20):
        u = 3 * uniform(*y.shape, seed=seed) - 1
        assert (dot(p, u) - likelihood(u, y) <= conjugate + 1e-9 * conjugate.abs()).all()


def test_slopes_beyond_reach_have_an_infinite_conjugate_or_a_finite_supremum(case, likelihood):
    """The supremum on a wide grid of predictions never exceeds the conjugate."""
    y = case.measured()
    for size in (1e-3, 1.0, 30.0, 1e3):
        p = size * (2 * uniform(*y.shape, seed=8) - 1)
        conjugate = likelihood.conjugate(p, y)
        for u in torch.linspace(-3, 3, 31, dtype=y.dtype):
            value = (p * u).flatten(1).sum(1) - likelihood(u.expand_as(y), y)
            assert (value <= conjugate + 1e-9 * (1 + value.abs())).all()


def test_one_image_never_depends_on_its_neighbors(case, likelihood):
    u, y = case.prediction(seed=5), case.measured()
    for i, alone in enumerate(_members(likelihood)):
        one, seen = u[i : i + 1], y[i : i + 1]
        torch.testing.assert_close(likelihood(u, y)[i], alone(one, seen)[0])
        torch.testing.assert_close(likelihood.prox(u, y, 0.1)[i], alone.prox(one, seen, 0.1)[0])
        torch.testing.assert_close(likelihood.precision(y)[i], alone.precision(seen)[0])
        curved = alone.curvature(one, seen)
        torch.testing.assert_close(likelihood.curvature(u, y)[i], curved[0])
        p = likelihood.value_and_grad(u, y)[1]
        torch.testing.assert_close(
            likelihood.conjugate(p, y)[i], alone.conjugate(p[i : i + 1], seen)[0]
        )


def _members(likelihood: NoiseModel) -> list[NoiseModel]:
    """The same likelihood for each of two images alone."""
    members = []
    for i in range(2):
        one = copy.deepcopy(likelihood)
        for part in one.modules():
            for name, value in list(part.named_buffers(recurse=False)):
                part.register_buffer(name, value[i : i + 1] if value.ndim else value)
        members.append(one)
    return members


def test_the_same_generator_gives_the_same_measurement(case):
    assert torch.equal(case.measured(seed=1), case.measured(seed=1))
    assert not torch.equal(case.measured(seed=1), case.measured(seed=2))


def test_samples_are_about_their_prediction(case, likelihood):
    """The likelihood's own score, averaged over its samples, is zero at the truth."""
    u = case.prediction()
    generator = torch.Generator().manual_seed(0)
    draws = [likelihood.value_and_grad(u, likelihood.sample(u, generator))[1] for _ in range(200)]
    scores = torch.stack([d.mean() for d in draws])
    assert scores.mean().abs() < 4 * scores.std() / 200**0.5


def test_arguments_stay_as_they_were(case, likelihood):
    u, y = case.prediction(seed=5), case.measured()
    before = u.clone(), y.clone()
    likelihood(u, y), likelihood.value_and_grad(u, y), likelihood.prox(u, y, 0.1)
    likelihood.conjugate(u, y), likelihood.precision(y), likelihood.curvature(u, y)
    likelihood.sample(u, torch.Generator().manual_seed(0))
    assert torch.equal(u, before[0])
    assert torch.equal(y, before[1])


def test_everything_follows_the_dtype_of_its_input(case, likelihood):
    u, y = case.prediction(seed=5), case.measured()
    single = likelihood(u.float(), y.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), likelihood(u, y), rtol=1e-4, atol=1e-4)
    assert likelihood.prox(u.float(), y.float(), 0.1).dtype == torch.float32
    assert likelihood.precision(y.float()).dtype == torch.float32
    generator = torch.Generator().manual_seed(0)
    assert likelihood.sample(u.float(), generator).dtype == torch.float32


def test_a_copy_and_a_reloaded_one_score_alike(case, likelihood):
    u, y = case.prediction(seed=5), case.measured()
    twin = copy.deepcopy(likelihood)
    twin.load_state_dict(likelihood.state_dict())
    assert torch.equal(twin(u, y), likelihood(u, y))
