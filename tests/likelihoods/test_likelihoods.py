"""What each likelihood says about its own samples, and where it refuses."""

import math

import pytest
import scipy.stats
import torch

from tests.cases import uniform
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.laplace import Laplace
from undegrade.likelihoods.poisson import Poisson
from undegrade.likelihoods.salt_and_pepper import SaltAndPepper

f64 = torch.float64


def drawn(likelihood, value: float, count: int = 40_000) -> torch.Tensor:
    u = torch.full((1, 1, 1, count), value, dtype=f64)
    return likelihood.sample(u, torch.Generator().manual_seed(0)).flatten()


@pytest.mark.parametrize(
    ("likelihood", "std"),
    [(Gaussian(0.1), 0.1), (Laplace(0.1), 0.1 * 2**0.5), (Poisson(50.0), (0.6 / 50) ** 0.5)],
)
def test_samples_have_their_mean_and_standard_deviation(likelihood, std):
    y = drawn(likelihood, 0.6)
    assert float(y.mean()) == pytest.approx(0.6, abs=4 * std / 200)
    assert float(y.std()) == pytest.approx(std, rel=0.03)


def test_samples_have_the_distribution_and_not_only_its_moments():
    assert scipy.stats.kstest(drawn(Gaussian(0.1), 0.6), "norm", (0.6, 0.1)).pvalue > 0.01
    assert scipy.stats.kstest(drawn(Laplace(0.1), 0.6), "laplace", (0.6, 0.1)).pvalue > 0.01
    counts = torch.bincount((drawn(Poisson(5.0), 0.6) * 5).round().long(), minlength=12)[:12]
    expected = 40_000 * torch.from_numpy(scipy.stats.poisson(3.0).pmf(range(12)))
    assert ((counts - expected).square() / expected).sum() < 30


def test_values_are_the_negative_log_densities_up_to_a_constant():
    y = 0.4
    for u in (0.2, 0.55):
        at = torch.full((1, 1, 1, 1), u, dtype=f64), torch.full((1, 1, 1, 1), y, dtype=f64)
        gauss = scipy.stats.norm(u, 0.1).logpdf(y) - scipy.stats.norm(y, 0.1).logpdf(y)
        assert float(Gaussian(0.1)(*at)) == pytest.approx(-gauss)
        laplace = scipy.stats.laplace(u, 0.1).logpdf(y) - scipy.stats.laplace(y, 0.1).logpdf(y)
        assert float(Laplace(0.1)(*at)) == pytest.approx(-laplace)
        poisson = scipy.stats.poisson(10 * u).logpmf(4) - scipy.stats.poisson(10 * y).logpmf(4)
        assert float(Poisson(10.0)(*at)) == pytest.approx(-poisson)


@pytest.mark.parametrize("photons", [3.0, 10.0, 100.0])
def test_poisson_precision_weighs_the_residual_of_the_truth_to_about_one(photons):
    likelihood, y = Poisson(photons), drawn(Poisson(photons), 1.0)
    weighed = float((likelihood.precision(y[None]) * (y - 1).square()).mean())
    assert weighed == pytest.approx(1, abs=0.16)


def test_poisson_is_finite_smooth_and_rising_below_zero():
    y = torch.tensor([0.0, 0.1, 2.0], dtype=f64).reshape(1, 1, 1, 3)
    likelihood = Poisson(10.0)
    values = [likelihood(torch.full_like(y, u), y).item() for u in (-2.0, -1.0, 0.0, 0.005)]
    assert values == sorted(values, reverse=True)
    low = torch.full_like(y, 0.01)  # a tenth of a photon: the parabola begins
    above, below = (likelihood.value_and_grad(low + d, y)[1] for d in (1e-9, -1e-9))
    torch.testing.assert_close(above, below, rtol=1e-5, atol=1e-5)


def test_poisson_is_a_parabola_of_its_own_curvature_in_the_dark():
    likelihood, y = Poisson(10.0), torch.tensor([[0.0, 0.1, 0.9]], dtype=torch.float64)
    u = torch.full_like(y, -0.2)
    bend = likelihood.value_and_grad(u + 0.1, y)[1] - likelihood.value_and_grad(u, y)[1]
    torch.testing.assert_close(likelihood.curvature(u, y), bend / 0.1)


def test_salt_and_pepper_loses_the_fraction_it_says_half_to_each_end():
    y = drawn(SaltAndPepper(0.3), 0.6)
    assert float((y == 0).double().mean()) == pytest.approx(0.15, abs=0.01)
    assert float((y == 1).double().mean()) == pytest.approx(0.15, abs=0.01)
    kept = y[(y != 0) & (y != 1)]
    assert float(kept.std()) == pytest.approx(1 / (255 * math.sqrt(12)), rel=0.03)


def test_salt_and_pepper_is_blind_to_entries_that_are_exactly_black_or_white():
    y = torch.tensor([0.0, 1.0, 0.5], dtype=f64).reshape(1, 1, 1, 3)
    likelihood, u = SaltAndPepper(0.5, std=0.1), uniform(1, 1, 1, 3)
    value, gradient = likelihood.value_and_grad(u, y)
    assert float(value) == pytest.approx(float((u[..., 2] - 0.5) ** 2 / 0.02))
    assert gradient[..., :2].abs().max() == 0
    torch.testing.assert_close(likelihood.prox(u, y, 0.7)[..., :2], u[..., :2])
    assert likelihood.precision(y).flatten().tolist()[:2] == [0, 0]


def test_an_infeasible_slope_has_an_infinite_conjugate():
    y = torch.full((2, 1, 1, 2), 0.5, dtype=f64)
    y[..., 1] = 0
    for likelihood, p in ((Laplace(0.1), 10.1), (Poisson(5.0), 5.1), (SaltAndPepper(0.5), 0.1)):
        slope = torch.zeros_like(y)
        slope[1] = p
        value = likelihood.conjugate(slope, y)
        assert value.isinf().tolist() == [False, True]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian(0.0), "positive, got 0.0"),
        (lambda: Gaussian(torch.tensor([0.1, -1.0])), "positive"),
        (lambda: Gaussian(float("nan")), "positive, got nan"),
        (lambda: Laplace(-0.1), "positive, got -0.1"),
        (lambda: Poisson(0.0), "positive number of photons, got 0.0"),
        (lambda: SaltAndPepper(1.2), r"\[0, 1\], got 1.2"),
        (lambda: SaltAndPepper(0.5, std=0.0), "positive, got 0.0"),
    ],
)
def test_impossible_noise_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_levels_of_channels_are_refused_in_one_sentence():
    noise = Gaussian(torch.tensor([0.01, 0.01, 0.08]))
    with pytest.raises(ValueError, match="one per sample of 1, or a map"):
        noise.precision(uniform(1, 3, 4, 4))
    with pytest.raises(ValueError, match="one per sample of 1, or a map"):
        noise(uniform(1, 3, 4, 4), uniform(1, 3, 4, 4))
