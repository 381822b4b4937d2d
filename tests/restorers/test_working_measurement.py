"""Non-linear measurements as the linear ones that they are near an estimate."""

import pytest
import torch
from skimage import data

from tests.cases import uniform
from tests.end_to_end.conftest import scene
from undegrade.core.measurement import Measurement
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.poisson import Poisson
from undegrade.likelihoods.saturated import Saturated
from undegrade.machines.weight_file import load_weights
from undegrade.machines.working_measurement import (
    evenly_weighed,
    keeps_flat_pictures,
    working_measurement,
)
from undegrade.metrics.distortion import psnr
from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample
from undegrade.operators.function import Function
from undegrade.operators.identity import Identity
from undegrade.operators.mask import Mask
from undegrade.operators.response import Response
from undegrade.operators.response_curves import SRGB, Gamma
from undegrade.restorers.initial import first_estimate
from undegrade.restorers.recurrent_inference import WEIGHTS, RecurrentInference, restored_by

BLUR = Blur(torch.ones(3, 3, dtype=torch.float64) / 9, "replicate")


def test_behind_a_response_the_operator_is_the_blur_and_the_noise_a_map():
    x, other = uniform(2, 3, 8, 7) + 0.05, uniform(2, 3, 8, 7, seed=1)
    response = Response(Gamma(2.2))
    y = response(BLUR(x))
    near = working_measurement(Measurement(y, response @ BLUR, Gaussian(0.02)), x)
    torch.testing.assert_close(near.operator(other), BLUR(other))
    torch.testing.assert_close(near.y, BLUR(x))  # without noise, at the truth
    slope = (response(BLUR(x) + 1e-6) - y) / 1e-6
    torch.testing.assert_close(near.likelihood.std, 0.02 / slope, rtol=1e-4, atol=0)


def test_a_linear_measurement_stays_as_it_is():
    y = uniform(1, 3, 8, 7)
    near = working_measurement(Measurement(y, BLUR, Gaussian(0.1)), uniform(1, 3, 8, 7, seed=1))
    torch.testing.assert_close(near.y, y)
    torch.testing.assert_close(near.likelihood.std, torch.full_like(y, 0.1))


def test_a_clipped_entry_counts_only_while_it_is_not_reached():
    y = torch.tensor([[[[1.0, 1.0, 0.5]]]], dtype=torch.float64)
    x = torch.tensor([[[[2.0, 0.5, 0.5]]]], dtype=torch.float64)
    near = working_measurement(Measurement(y, Identity(), Saturated(Gaussian(0.02))), x)
    std = near.likelihood.std[0, 0, 0]
    assert std[0].isinf()
    torch.testing.assert_close(
        std[1:], torch.full((2,), 0.02, dtype=torch.float64), rtol=0.1, atol=0
    )
    assert 0.98 < near.y[0, 0, 0, 1] < 1.05


def test_shipped_weights_restore_behind_a_response():
    x, response = scene(48, 40), Response(SRGB())
    operator = response @ Blur(torch.ones(1, 7) / 7, "replicate") @ response.inverse
    y = Gaussian(0.01).sample(operator(x), torch.Generator().manual_seed(0))
    restored = RecurrentInference().restore(Measurement(y, operator, Gaussian(0.01))).x
    assert psnr(restored, x) > psnr(y, x) + 3


@pytest.mark.parametrize("colors", [1, 3])
def test_behind_a_response_steps_follow_the_operator_as_it_bends(colors):
    x, response = scene(48, 40)[:, :colors], Response(Gamma(2.2))
    encoded = response @ Blur(torch.ones(1, 7) / 7, "replicate") @ response.inverse
    y = Gaussian(0.01).sample(encoded(x), torch.Generator().manual_seed(0))
    measured = Measurement(y, encoded, Gaussian(0.01))
    result = RecurrentInference().restore(measured)
    once = working_measurement(measured, first_estimate(measured))
    assert psnr(result.x, x) > psnr(RecurrentInference().restore(once).x, x) + 0.2
    if colors == 3:  # it settles its moves, of which a last one may make up for those that did not
        rim = load_weights(WEIGHTS / "universal.safetensors")[0]
        assert psnr(result.state.x, x) > psnr(restored_by(rim, measured).state.x, x)


def test_flat_pictures_stay_as_they_are_behind_a_camera_and_not_of_linear_light():
    response, y = Response(SRGB()), torch.zeros(1, 3, 8, 8)
    for inner in (Identity(), BLUR.to(y), Mask(uniform(8, 8).to(y) > 0.6), Blur(BLUR.psf, "zero")):
        assert keeps_flat_pictures(response @ inner @ response.inverse, y)
        assert not keeps_flat_pictures(response @ inner, y)
    for bent in (torch.square, torch.sqrt, lambda x: 0 * x):
        assert not keeps_flat_pictures(Function(bent), y)


def test_photons_are_weighed_by_what_is_near_and_not_by_themselves():
    x = torch.full((2, 1, 12, 12), 0.2, dtype=torch.float64)
    x[1] = 0.0
    peak = 30.0
    y = Poisson(peak).sample(BLUR(x), torch.Generator().manual_seed(0))
    near = evenly_weighed(Measurement(y, BLUR, Poisson(peak)), lambda _: x)
    torch.testing.assert_close(near.y, y)
    std = near.likelihood.std
    torch.testing.assert_close(std[0], torch.full_like(y[0], (0.2 / peak) ** 0.5))
    assert (std[1] >= 0.3 / peak).all()  # where nothing is seen it is not taken for exact


def test_noise_that_is_the_same_everywhere_stays_as_it_is():
    y = uniform(1, 3, 32, 32)
    for noise in (Gaussian(0.1), Saturated(Gaussian(0.1))):
        measured = Measurement(y, BLUR, noise)
        assert evenly_weighed(measured, lambda _: y) is measured
    small = Measurement(y[..., :16, :16], Downsample(2), Poisson(10.0))
    assert evenly_weighed(small, lambda _: y) is small


def test_a_blur_with_few_photons_is_restored():
    pixels = torch.from_numpy(data.coffee()[100:260, 100:260].copy())
    x = pixels.permute(2, 0, 1)[None].float() / 255
    y = Poisson(10.0).sample(BLUR.to(x)(x), torch.Generator().manual_seed(0))
    measured = Measurement(y, BLUR.to(x), Poisson(10.0))
    careful = Measurement(y, BLUR.to(x), Gaussian(measured.precision.rsqrt()))
    best = psnr(RecurrentInference().restore(measured).x, x)
    assert best > psnr(RecurrentInference().restore(careful).x, x) + 0.2
