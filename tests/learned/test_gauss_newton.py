"""Steps whose damping is learned."""

import copy
from dataclasses import replace

import pytest
import torch

from tests.cases import uniform
from undegrade.core.objective import Fidelity
from undegrade.learned.gauss_newton_features import GaussNewtonFeatures, GaussNewtonSettings
from undegrade.learned.least_squares_features import LeastSquaresFeatures
from undegrade.learned.predicted_damping import PredictedDamping
from undegrade.learned.schedule import GeometricErrors
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.salt_and_pepper import SaltAndPepper
from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample
from undegrade.operators.identity import Identity
from undegrade.operators.mask import Mask
from undegrade.operators.response import Response
from undegrade.operators.response_curves import Gamma
from undegrade.parametrizations.pointwise import Affine

KERNEL = uniform(5, 3, seed=4) / uniform(5, 3, seed=4).sum()
CURVE = Response(Gamma(2.2))
OPERATORS = {
    "identity": Identity(),
    "mask": Mask(uniform(8, 6) > 0.4),
    "replicate": Blur(KERNEL, "replicate"),
    "valid": Blur(KERNEL, "valid"),
    "low resolution": Downsample(2) @ Blur(KERNEL, "replicate"),
    "camera": CURVE @ Blur(KERNEL, "replicate") @ CURVE.inverse,
    "camera, linear light": CURVE @ Blur(KERNEL, "replicate"),
}
EXACT = LeastSquaresFeatures(cg_iterations=200, schedule=GeometricErrors(first=0.3))


def features(start: LeastSquaresFeatures = EXACT) -> GaussNewtonFeatures:
    """With a network that does something, always the same."""
    found = GaussNewtonFeatures(start, 3).double().requires_grad_(False)
    for n, p in enumerate(found.parameters()):
        p.copy_(0.1 * uniform(*p.shape, seed=n))
    return found


def problem(name: str) -> Fidelity:
    A, x = OPERATORS[name], uniform(2, 3, 8, 6, seed=1)
    y = A(x) + 0.05 * uniform(*A(x).shape, seed=2)
    return Fidelity(A, Gaussian(torch.tensor([0.1, 0.2]).double()), y)


def base(f: GaussNewtonFeatures, p: Fidelity, x: torch.Tensor, iteration: int = 1):
    return f.compute(p, f.prepare(p, x, 3)[1], x, Affine(), iteration).base


@pytest.mark.parametrize("name", OPERATORS)
def test_the_derivative_in_the_damping_is_that_of_finite_differences(name):
    """Of every weight of the network, through the damping, the solve and the move."""
    f, p, x = features(), problem(name), uniform(2, 3, 8, 6, seed=3)
    v = uniform(*x.shape, seed=5) - 0.5
    for weight in f.requires_grad_(True).parameters():
        f.zero_grad()
        (v * base(f, p, x)).sum().backward()
        assert weight.grad is not None
        slope = weight.grad.clone()
        along, step = uniform(*weight.shape, seed=6), 1e-4
        with torch.no_grad():
            weight.add_(step * along)
            above = (v * base(f, p, x)).sum()
            weight.sub_(2 * step * along)
            below = (v * base(f, p, x)).sum()
            weight.add_(step * along)
        expected = (above - below) / (2 * step)
        assert expected.abs() > 1e-6  # or the law would be idle
        torch.testing.assert_close((slope * along).sum(), expected, rtol=2e-3, atol=1e-9)


@pytest.mark.parametrize("name", ["identity", "mask", "replicate"])
def test_a_step_is_damped_by_what_was_predicted(name):
    """z solves (AᵀA + λσ²/(fτ)²) z = Aᵀy + λσ²/(fτ)² x, f the factor."""
    f, p, x = features(), problem(name), uniform(2, 3, 8, 6, seed=3)
    shown = f.compute(p, f.prepare(p, x, 3)[1], x, Affine(), 0)
    residual = p.y - p.operator(x)
    std = p.likelihood.std
    factor = f.damping(std, residual, p.operator.adjoint(residual), 0.0)
    assert ((factor - 1).abs() > 0.01).all()
    error = factor * 0.3
    mu = (EXACT.strength * (std / error).square()).reshape(-1, 1, 1, 1)
    A, z = p.operator, shown.base
    torch.testing.assert_close(
        A.adjoint(A(z)) + mu * z, A.adjoint(p.y) + mu * x, rtol=1e-3, atol=1e-4
    )
    told = shown.stacked()[:, EXACT.part("expected error", 3)]
    torch.testing.assert_close(told, error.reshape(-1, 1, 1, 1).expand_as(told))


@pytest.mark.parametrize("name", OPERATORS)
def test_untrained_it_is_the_fixed_damping(name):
    p, x = problem(name), uniform(2, 3, 8, 6, seed=3)
    untrained = GaussNewtonSettings(start=EXACT).build().double()
    for iteration in (0, 2, 5):
        fixed = EXACT.compute(p, EXACT.prepare(p, x, 3)[1], x, Affine(), iteration)
        same = untrained.compute(p, untrained.prepare(p, x, 3)[1], x, Affine(), iteration)
        torch.testing.assert_close(same.stacked(), fixed.stacked())
        torch.testing.assert_close(same.base, fixed.base)
    torch.testing.assert_close(
        untrained.finish(p, untrained.prepare(p, x, 3)[1], x),
        EXACT.finish(p, EXACT.prepare(p, x, 3)[1], x),
    )


def test_it_depends_on_the_noise_on_the_residual_and_on_the_step():
    damping = features().damping
    std, r = torch.tensor([0.1]).double(), uniform(1, 3, 4, 4)
    seen = {
        float(damping(s, factor * r, back * r, t))
        for s, factor, back, t in (
            (std, 1, 1, 0.0),
            (std / 2, 1, 1, 0.0),
            (std, 2, 1, 0.0),
            (std, 1, 2, 0.0),
            (std, 1, 1, 1.0),
        )
    }
    assert len(seen) == 5


def test_the_damping_stays_within_its_bounds_and_finite():
    damping = PredictedDamping(2).double().requires_grad_(False)
    torch.nn.init.constant_(damping.leave.bias, 1e6)
    std, nothing = torch.tensor([0.1]).double(), torch.zeros(1, 3, 4, 4).double()
    assert float(damping(std, nothing, nothing, 0.0)) == pytest.approx(torch.e**3)
    torch.nn.init.constant_(damping.leave.bias, -1e6)
    assert float(damping(std, nothing, nothing, 0.0)) == pytest.approx(torch.e**-3)


def test_lost_entries_have_no_say():
    y = uniform(1, 3, 8, 6)
    y[..., 2, 3] = 0.0
    x = uniform(1, 3, 8, 6, seed=9)
    p = Fidelity(Identity(), SaltAndPepper(0.5), y)
    other = copy.deepcopy(x)
    other[..., 2, 3] = 0.9
    f = features()
    d = base(f, p, x) - x
    assert (d[..., 2, 3] == 0).all()
    torch.testing.assert_close(base(f, p, other) - other, d)


def test_damping_that_would_not_be_learned_is_refused():
    with pytest.raises(ValueError, match="base z"):
        GaussNewtonSettings(start=replace(EXACT, base="x"))
