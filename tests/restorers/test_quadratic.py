"""Tikhonov restoration: against dense matrices, and its choice of the weight."""

import pytest
import torch

from tests.cases import uniform
from tests.restorers.test_wiener import clouds, error, measured
from undegrade.core.image import norm
from undegrade.core.measurement import Measurement
from undegrade.core.stopping import Status
from undegrade.estimation.weight import Discrepancy
from undegrade.kernels.formulas import gaussian_psf
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.salt_and_pepper import SaltAndPepper
from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample
from undegrade.operators.function import Function
from undegrade.operators.identity import Identity
from undegrade.operators.mask import Mask
from undegrade.priors.finite_difference import FiniteDifference
from undegrade.restorers.quadratic import Quadratic


def test_it_solves_the_normal_equations():
    A, y = Blur(uniform(3, 3) / 4.5, "replicate"), uniform(1, 1, 6, 5)
    result = Quadratic(weight=30.0, tolerance=1e-12).restore(Measurement(y, A, Gaussian(0.1)))
    basis = torch.eye(30, dtype=y.dtype).reshape(30, 1, 6, 5)
    matrix, slope = A(basis).flatten(1).T, FiniteDifference()(basis).flatten(1).T
    hessian = 100 * matrix.T @ matrix + 30 * slope.T @ slope
    expected = torch.linalg.solve(hessian, 100 * matrix.T @ y.flatten())
    torch.testing.assert_close(result.x.flatten(), expected)
    assert result.status == (Status.CONVERGED,)


@pytest.mark.parametrize(
    "operator",
    [
        Identity(),
        Blur(gaussian_psf(1.5, dtype=torch.float64), "replicate"),
        Mask(uniform(48, 40) > 0.5),
        Downsample(2) @ Blur(gaussian_psf(1.0, dtype=torch.float64), "reflect"),
    ],
)
def test_the_chosen_weight_is_nearly_the_best_one(operator):
    x = clouds(1, 3, 48, 40)
    m = measured(operator, 0.05, x)
    chosen = Quadratic().restore(m)
    assert chosen.status == (Status.CONVERGED,)
    tried = [Quadratic(weight=w).restore(m).x for w in (10.0, 30.0, 100.0, 300.0, 1e3, 3e3)]
    best = min(norm(operator(t - x)).item() for t in tried)
    assert norm(operator(chosen.x - x)).item() <= 1.05 * best


def test_a_faint_picture_gets_a_large_weight():
    x = 0.5 + 0.05 * (clouds(1, 3, 48, 40) - 0.5)
    m = measured(Identity(), 0.05, x)
    tried = [Quadratic(weight=w).restore(m).x for w in (1e3, 3e3, 1e4, 3e4)]
    best = min(norm(t - x).item() for t in tried)
    assert norm(Quadratic().restore(m).x - x).item() <= 1.2 * best


def test_the_discrepancy_principle_leaves_a_residual_of_the_size_of_the_noise():
    x = clouds(1, 3, 48, 40)
    m = measured(Identity(), 0.1, x)
    result = Quadratic(rule=Discrepancy()).restore(m)
    torch.testing.assert_close(
        result.x, Quadratic(weight=result.chosen["weight"].item()).restore(m).x, atol=1e-3, rtol=0
    )
    assert 0.097 < (result.x - m.y).square().mean().sqrt() < 0.103


def test_lost_entries_are_filled_in():
    x, noise = clouds(1, 3, 48, 40), SaltAndPepper(0.3, std=0.02)
    y = noise.sample(x, torch.Generator().manual_seed(0))
    assert error(Quadratic().restore(Measurement(y, Identity(), noise)).x, x) < 0.25 * error(y, x)


def test_one_image_never_depends_on_its_neighbors():
    x = clouds(2, 1, 24, 20)
    noise = Gaussian(torch.tensor([0.02, 0.2]).double())
    y = noise.sample(x, torch.Generator().manual_seed(0))
    together = Quadratic().restore(Measurement(y, Identity(), noise))
    for i, std in enumerate((0.02, 0.2)):
        alone = Quadratic().restore(Measurement(y[i : i + 1], Identity(), Gaussian(std)))
        assert alone.iterations == together.iterations[i : i + 1]
        torch.testing.assert_close(together.x[i : i + 1], alone.x, rtol=1e-5, atol=1e-5)


def test_what_is_not_linear_is_refused_with_advice():
    m = Measurement(uniform(1, 1, 4, 4), Function(torch.tanh), Gaussian(0.1))
    with pytest.raises(ValueError, match="use the variational method"):
        Quadratic().restore(m)
