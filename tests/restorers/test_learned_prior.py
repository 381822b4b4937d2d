"""Files of priors, and restoration with them."""

from pathlib import Path

import pytest
import torch

from tests.cases import uniform
from undegrade.core.measurement import Measurement
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.laplace import Laplace
from undegrade.metrics.distortion import psnr
from undegrade.operators.blur import Blur
from undegrade.operators.identity import Identity
from undegrade.restorers.learned_prior import SHIPPED, LearnedPrior, load_prior, save_prior
from undegrade.restorers.recurrent_inference import WEIGHTS
from undegrade.restorers.variational import Variational

STD = 25 / 255


def steps() -> torch.Tensor:
    """A picture of edges at 32×32."""
    i = torch.arange(32)
    return (0.2 + 0.5 * ((i[:, None] // 11 + i // 9) % 2))[None, None]


def measured(std: float) -> Measurement:
    noise = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    return Measurement(steps() + std * noise, Identity(), Gaussian(std))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_prior_is_small_and_denoises(name: str) -> None:
    learned = load_prior(name)
    assert sum(4 * t.numel() for t in learned.tensors.values()) < 100_000
    restored = Variational(prior=name).restore(measured(STD)).x
    assert float(psnr(restored, steps())) > float(psnr(measured(STD).y, steps())) + 4
    assert (name == "convex-experts") == bool((learned.tensors["exponents"] >= 1).all())


def test_another_noise_level_is_another_contrast() -> None:
    """Twice the noise on twice the picture: twice the restored picture."""
    one, m = Variational(prior="experts", tolerance=1e-7).restore(measured(STD)).x, measured(STD)
    two = Variational(prior="experts", tolerance=1e-7).restore(
        Measurement(2 * m.y, Identity(), Gaussian(2 * STD))
    )
    torch.testing.assert_close(two.x, 2 * one, atol=2e-3, rtol=0)
    assert two.chosen["weight"].tolist() == [1.0]


def test_any_linear_operator_will_do() -> None:
    blur = Blur(torch.ones(1, 3) / 3, "replicate")
    y = blur(steps()) + 0.01 * (uniform(1, 1, 32, 32).float() - 0.5)
    result = Variational(prior="experts").restore(Measurement(y, blur, Gaussian(0.01)))
    assert float(psnr(result.x, steps())) > float(psnr(y, steps())) + 3


def test_what_is_no_prior_is_said(tmp_path: Path) -> None:
    path = tmp_path / "prior.safetensors"
    with pytest.raises(ValueError, match="or one of experts, convex-experts"):
        load_prior(path)
    save_prior(path, LearnedPrior({"weight": torch.tensor(0.9)}, 0.1, {}))
    assert load_prior(path).weight == pytest.approx(0.9)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="is damaged"):
        load_prior(path)
    with pytest.raises(ValueError, match="holds no prior"):
        load_prior(WEIGHTS / "denoising.safetensors")
    kinked = Measurement(steps(), Identity(), Laplace(0.1))
    with pytest.raises(ValueError, match="has no kink, got Laplace"):
        Variational(prior="experts").restore(kinked)
