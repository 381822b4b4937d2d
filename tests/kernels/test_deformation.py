"""Kernels stretched, turned and blurred; and how much structure a wrong one leaves."""

import math

import torch

import undegrade as ud
from undegrade.kernels.deformation import Deformation, first_guesses
from undegrade.kernels.residual_color import residual_color

MOTION = ud.motion_psf(9.0, 0.0, torch.float64)[None, None]
USUAL = torch.tensor([0.3, 0.3, 0.3, 0.3, 0.7], dtype=torch.float64)


def padded(kernel: torch.Tensor, side: int) -> torch.Tensor:
    rows, columns = ((side - n) // 2 for n in kernel.shape[-2:])
    return torch.nn.functional.pad(kernel, (columns, columns, rows, rows))


def deformed(kernel: torch.Tensor, numbers: list[float]) -> torch.Tensor:
    latent = torch.tensor([numbers], dtype=torch.float64) / USUAL
    made = Deformation(kernel, 4).image(latent)
    return padded(made, max(made.shape))[0, 0]


def test_nothing_changes_by_nothing():
    free = Deformation(MOTION, 3)
    same = free.image(free.latent(MOTION))
    torch.testing.assert_close(same[0, 0, 3:-3, 3:-3], MOTION[0, 0], atol=1e-12, rtol=0)


def test_a_motion_is_made_longer_and_turned():
    longer = ud.motion_psf(11.0, 0.0, torch.float64)
    made = deformed(MOTION, [0, 0, 0, 9 / 11 - 1, 0])
    assert float((made - padded(longer, len(made))).abs().sum()) < 0.1
    angle = math.radians(-20)  # rows grow downward
    cos, sin = math.cos(angle), math.sin(angle)
    turned = deformed(MOTION, [cos - 1, -sin, sin, cos - 1, 0])
    right = padded(ud.motion_psf(9.0, 20.0, torch.float64), len(turned))
    wrong = padded(ud.motion_psf(9.0, -20.0, torch.float64), len(turned))
    assert float((turned - right).abs().sum()) < 0.5 < 1 < float((turned - wrong).abs().sum())


def test_a_point_becomes_a_gaussian():
    point = padded(torch.ones(1, 1, 1, 1, dtype=torch.float64), 3)
    made = deformed(point, [0, 0, 0, 0, 1.0])
    expected = padded(ud.gaussian_psf(1.0, 7, dtype=torch.float64)[None], len(made))[0]
    torch.testing.assert_close(made, expected, atol=2e-3, rtol=0)


def test_the_gradient_is_that_of_differences():
    free = Deformation(MOTION, 3)
    weights = torch.randn(15, 15, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = weights[: 2 * 3 + MOTION.shape[2]]
    latent = torch.tensor([[0.3, -0.2, 0.1, 0.4, 0.8]], dtype=torch.float64)

    def value(at: torch.Tensor) -> float:
        return float((free.image(at)[0, 0] * weights).sum())

    found = free.pullback(latent, weights[None, None].expand_as(free.image(latent)))
    for i in range(5):
        step = 1e-6 * torch.eye(5, dtype=torch.float64)[i : i + 1]
        slope = (value(latent + step) - value(latent - step)) / 2e-6
        assert abs(float(found[0, i]) - slope) < 1e-5


def test_first_guesses_hold_the_kernel_itself():
    guesses = first_guesses(MOTION) * USUAL
    assert bool((guesses[:, :4].abs().sum(1) < 1e-12).any())


def test_white_noise_has_no_color_and_edges_have():
    noise = torch.randn(2, 3, 64, 70, generator=torch.Generator().manual_seed(0))
    noise[1] = ud.Blur(torch.ones(5, 5) / 25)(noise[1:])[0]
    white, blurred = residual_color(noise).tolist()
    assert white < 0.05 < 1 < blurred
    torch.testing.assert_close(residual_color(7 * noise[:1]), residual_color(noise)[:1])
    assert residual_color(torch.zeros(1, 1, 20, 20)).item() == 0
