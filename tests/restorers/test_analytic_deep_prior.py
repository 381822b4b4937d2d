"""A kernel that is nearly right, corrected from the picture."""

import pytest
import torch

import undegrade as ud
from tests.kernels.test_estimate import scene
from undegrade.evaluation.section import kernel_kept_in_words
from undegrade.kernels.position import center_of_mass, positioned
from undegrade.restorers.blur_of import blur_of

STD, SIZE = 0.01, 170
TRUE, GIVEN = ud.motion_psf(9.0, 0.0), ud.motion_psf(6.0, 0.0)


def blurred(psf: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x = scene(SIZE)
    y = ud.Blur(psf, "valid")(x)
    y = y + STD * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    top, left = psf.shape[0] // 2, psf.shape[1] // 2
    return x[..., top : SIZE - top, left : SIZE - left], y


def inner(x: torch.Tensor, truth: torch.Tensor) -> float:
    return float(ud.psnr(x[..., 8:-8, 8:-8], truth[..., 8:-8, 8:-8]))


def measured(y: torch.Tensor, psf: torch.Tensor) -> ud.Measurement:
    return ud.Measurement(y, ud.Blur(psf), ud.Gaussian(STD))


def test_a_kernel_that_is_too_short_is_lengthened():
    x, y = blurred(TRUE)
    scores = [
        inner(method.restore(measured(y, psf)).x, x)
        for method, psf in (
            (ud.Variational(weight=10.0), GIVEN),
            (ud.AnalyticDeepPrior(weight=10.0), GIVEN),
            (ud.Variational(weight=10.0), TRUE),
        )
    ]
    assert scores[2] > scores[1] > scores[0] + 1  # a third of the motion was missing


def test_a_kernel_that_is_right_is_kept():
    x, y = blurred(TRUE)
    told = ud.Variational(weight=10.0).restore(measured(y, TRUE))
    result = ud.AnalyticDeepPrior(weight=10.0).restore(measured(y, TRUE))
    assert inner(result.x, x) > inner(told.x, x) - 0.1
    assert result.kernel is not None
    assert float((result.kernel - TRUE).abs().sum()) < 0.2
    assert kernel_kept_in_words({"kernel changed": 0.0}) != ""
    assert kernel_kept_in_words({"kernel changed": 0.1, "weight": 3.0}) == ""
    assert kernel_kept_in_words({}) == ""


def test_pictures_are_corrected_one_by_one():
    _, y = blurred(TRUE)
    method = ud.AnalyticDeepPrior(weight=10.0, iterations=5)
    pair = torch.cat([y, y.flip(-1)])
    together = method.restore(measured(pair, GIVEN)).kernel
    alone = method.restore(measured(pair[1:], GIVEN)).kernel
    assert together is not None and alone is not None
    torch.testing.assert_close(together[1:], alone, atol=1e-3, rtol=0)


def test_the_kernel_is_as_it_must_be():
    _, y = blurred(TRUE)
    result = ud.AnalyticDeepPrior(weight=10.0, iterations=5).restore(measured(y, GIVEN))
    assert result.kernel is not None
    assert float(result.kernel.min()) >= 0
    torch.testing.assert_close(result.kernel.sum((-2, -1)), torch.ones(1, 1))
    losses = [r.values["upper loss"].item() for r in result.trace if "upper loss" in r.values]
    assert len(losses) == 5 and losses == sorted(losses, reverse=True)
    assert set(result.chosen) == {"weight", "kernel changed"}


@pytest.mark.parametrize("solver", ["ift", "lista"])
def test_the_published_form_lowers_its_loss(solver):
    _, y = blurred(TRUE)
    y = y[..., 20:60, 20:60]
    method = ud.AnalyticDeepPrior(
        upper="measurement", beta=100.0, weight=10.0, iterations=3, solver=solver, constrained=False
    )
    result = method.restore(measured(y, TRUE))
    losses = [r.values["upper loss"].item() for r in result.trace]
    assert losses[-1] < losses[0]
    assert result.x.shape == y.shape


def test_an_operator_is_asked_for_its_kernel():
    x, psf = torch.rand(1, 3, 20, 24), ud.gaussian_psf((1.0, 2.0), 7, 30.0)
    for boundary in ("replicate", "periodic", "valid"):
        blur = ud.Blur(psf, boundary)
        found = blur_of(ud.Identity() @ blur, x, "this")
        assert found.boundary == boundary
        torch.testing.assert_close(found.psf[0, 0], psf, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="no convolution"):
        blur_of(ud.Mask(torch.arange(480).reshape(20, 24) % 3 > 0), x, "this")
    with pytest.raises(ValueError, match="no convolution"):
        blur_of(ud.Downsample(2) @ ud.Blur(psf), x, "this")


def test_a_kernel_is_put_at_its_center_of_mass():
    psf = torch.nn.functional.pad(ud.gaussian_psf(1.2, 9), (3, 0, 0, 2))[None, None]
    moved = positioned(psf[..., : psf.shape[-2] // 2 * 2 - 1, :-1][..., :, :11], "center", 1)
    for dim in (-2, -1):
        assert abs(float(center_of_mass(moved, dim))) < 0.05
    assert torch.equal(positioned(TRUE[None, None], "given", 0)[0, 0], TRUE)
