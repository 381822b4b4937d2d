"""Total variation: the compiled loops against the plain expressions, and against scikit-image."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from skimage.restoration import denoise_tv_chambolle
from torch import Tensor

import undegrade as ud
from tests.cases import uniform
from undegrade.core.functional import Composite
from undegrade.priors import total_variation_compiled as compiled
from undegrade.priors.group_norm import GroupNorm, magnitude

COUPLINGS = ("anisotropic", "isotropic", "vectorial")
SHAPES = [(2, 3, 9, 8), (1, 1, 7, 7), (2, 2, 1, 11), (1, 3, 5, 1), (1, 1, 1, 1)]


@pytest.fixture
def always_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "SMALLEST", 1)


def field(*shape: int) -> Tensor:
    b, c, h, w = shape
    return uniform(b, c, 2, h, w, seed=3) - 0.5


@pytest.mark.usefixtures("always_compiled")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_half_steps_are_the_plain_ones(coupling, smoothing, shape, dtype):
    tv, x = ud.TotalVariation(coupling, smoothing), uniform(*shape, seed=2).to(dtype)
    p = field(*shape).to(dtype)
    step = torch.tensor([0.7, 0.2], dtype=dtype)[: len(x)]
    weight = torch.tensor([0.3, 0.0], dtype=dtype)[: len(x)]
    assert compiled.pays(x, p)
    tolerance = {"rtol": 1e-5, "atol": 1e-6}
    expected = Composite.descend(tv, x, p, step)
    torch.testing.assert_close(tv.descend(x, p, step), expected, **tolerance)
    expected = Composite.ascend(tv, p.clone(), x, step, weight)
    torch.testing.assert_close(tv.ascend(p.clone(), x, step, weight), expected, **tolerance)


@pytest.mark.usefixtures("always_compiled")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_gradients_are_the_plain_ones(coupling, shape, dtype, monkeypatch):
    x = uniform(*shape, seed=2).to(dtype)
    priors = (ud.TotalVariation(coupling, 0.2), ud.SmoothedTotalVariation(coupling, 1e-4))
    found = [tv.value_and_grad(x) for tv in priors]
    monkeypatch.setattr(compiled, "SMALLEST", 2**40)
    for tv, pair in zip(priors, found, strict=True):
        torch.testing.assert_close(pair, tv.value_and_grad(x), rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("always_compiled")
def test_transforms_of_torch_func_see_through_the_gradient():
    tv, x, v = ud.TotalVariation("vectorial", 0.2), uniform(1, 3, 6, 5), field(1, 3, 6, 5)[:, :, 0]
    small = 1e-3
    ahead, behind = tv.grad(x + small * v), tv.grad(x - small * v)
    expected = (ahead - behind) / (2 * small)
    torch.testing.assert_close(tv.hvp(x, v), expected, rtol=1e-3, atol=1e-2)


def test_an_unknown_coupling_is_refused():
    """In a process of its own, because the type checker of the tests would answer first."""
    code = "import undegrade as ud; ud.TotalVariation('diagonal')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ValueError: coupling must be one of" in found.stderr
    assert "got 'diagonal'" in found.stderr


def test_gradients_and_small_images_take_the_plain_path():
    x = uniform(1, 1, 4, 4)
    assert not compiled.pays(x, field(1, 1, 4, 4))
    large = torch.rand(1, 1, 400, 400, generator=torch.Generator().manual_seed(0))
    assert compiled.pays(large, large)
    assert not compiled.pays(large.requires_grad_(), large)


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_the_value_is_the_sum_over_pixels(coupling):
    x = uniform(1, 2, 3, 4).numpy()[0]
    total = 0.0
    for i in range(3):
        for j in range(4):
            down = x[:, min(i + 1, 2), j] - x[:, i, j]
            right = x[:, i, min(j + 1, 3)] - x[:, i, j]
            groups = {
                "anisotropic": np.abs(down).sum() + np.abs(right).sum(),
                "isotropic": np.hypot(down, right).sum(),
                "vectorial": np.sqrt((down**2 + right**2).sum()),
            }
            total += groups[coupling]
    assert float(ud.TotalVariation(coupling)(torch.from_numpy(x)[None])) == pytest.approx(total)


def test_huber_lies_below_the_norm_by_at_most_half_its_smoothing():
    v = field(1, 3, 6, 5)
    sharp, smooth = GroupNorm("vectorial"), GroupNorm("vectorial", 0.2)
    pixels = magnitude(v, "vectorial").numel()
    assert 0 <= float(sharp(v) - smooth(v)) <= 0.1 * pixels + 1e-9


def test_denoising_reaches_a_lower_objective_than_scikit_image():
    y = uniform(1, 3, 24, 20, seed=5)
    theirs = denoise_tv_chambolle(
        y[0].permute(1, 2, 0).numpy(), 0.1, eps=1e-9, max_num_iter=2000, channel_axis=-1
    )
    objective = ud.Objective(
        ud.LeastSquares(ud.Identity(), y, 1.0), ud.TotalVariation("isotropic"), 0.1
    )
    stop = ud.until(iterations=5000, residual=1e-9, every=10)
    ours = ud.solve(ud.PrimalDual(), objective, y, stop=stop)
    assert ours.status == (ud.Status.CONVERGED,)
    reference = torch.from_numpy(theirs).permute(2, 0, 1)[None]
    assert float(objective(ours.x)) <= float(objective(reference)) * (1 + 1e-9)
    torch.testing.assert_close(ours.x, reference, rtol=0, atol=2e-2)


def test_negative_smoothing_is_refused():
    with pytest.raises(ValueError, match=r"0 or more, got -0\.1"):
        ud.TotalVariation(smoothing=-0.1)
    with pytest.raises(ValueError, match="epsilon must be positive"):
        ud.SmoothedTotalVariation(epsilon=0.0)
