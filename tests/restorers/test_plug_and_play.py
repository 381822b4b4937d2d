import pytest
import torch

import undegrade as ud
from tests.cases import uniform
from undegrade.core.operator import Operator
from undegrade.restorers.initial import first_estimate

PSF = torch.ones(5, 5, dtype=torch.float64) / 25


def measured(x, operator, std=0.02):
    eta = ud.Gaussian(std)
    y = eta.sample(operator(x), torch.Generator().manual_seed(0))
    return ud.Measurement(y, operator, eta)


def test_any_callable_is_called_with_a_picture_and_a_standard_deviation():
    calls = []

    def denoiser(x, std):
        calls.append((tuple(x.shape), std))
        return x

    x = uniform(2, 1, 12, 10)
    m = measured(x, ud.Blur(PSF, "periodic"))
    result = ud.PlugAndPlay(denoiser=denoiser, steps=3).restore(m)
    assert [shape for shape, _ in calls] == [(2, 1, 12, 10)] * 3
    errors = torch.stack([std for _, std in calls])
    expected = torch.tensor([0.15, (0.15 * 0.02) ** 0.5, 0.02], dtype=torch.float64)
    torch.testing.assert_close(errors, expected[:, None].expand(3, 2))
    assert result.iterations == (3, 3)


def test_a_step_is_a_move_and_then_the_denoiser():
    """With a denoiser that halves, x₁ = ½(AᵀA + μ)⁻¹(Aᵀy + μx₀)."""
    x, std = uniform(1, 3, 12, 10), 0.05
    blur = ud.Blur(PSF, "periodic")
    m = measured(x, blur, std)
    seen = []
    ud.PlugAndPlay(
        denoiser=lambda z, _: z / 2, steps=1, schedule=ud.GeometricErrors(first=0.1), strength=0.5
    ).restore(m, observe=[lambda _, state: seen.append(state.x) or {}])
    mu, z = 0.5 * (std / 0.1) ** 2, 2 * seen[0]
    left = blur.adjoint(blur(z)) + mu * z
    torch.testing.assert_close(left, blur.adjoint(m.y) + mu * first_estimate(m))


def test_the_shipped_denoiser_deblurs():
    rows, columns = torch.meshgrid(torch.arange(48), torch.arange(40), indexing="ij")
    pattern = 0.5 + 0.3 * torch.sin(rows / 4.0) * torch.cos(columns / 5.0)
    x = torch.where(rows + columns > 44, pattern, 1 - pattern)[None, None].expand(1, 3, -1, -1)
    m = measured(x, ud.Blur(PSF.float(), "replicate"), 0.01)
    assert ud.psnr(ud.PlugAndPlay().restore(m).x, x) > ud.psnr(m.y, x) + 3


def test_a_nonlinear_operator_is_refused():
    class Squared(Operator):
        def forward(self, x):
            return x**2

        def initial(self, y):
            return y

    measurement = ud.Measurement(uniform(1, 3, 8, 8), Squared(), ud.Gaussian(0.1))
    with pytest.raises(ValueError, match="expected a linear operator, got Squared"):
        ud.PlugAndPlay().restore(measurement)
