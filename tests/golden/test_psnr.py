"""What each method makes of a small photograph, in dB. A change of 0.05 dB wants a reason."""

import pytest
import torch
from skimage import data

import undegrade as ud
from undegrade.restorers import RESTORERS

DEGRADATIONS = {
    "noise": (ud.Identity(), ud.Gaussian(0.1)),
    "blur": (ud.Blur(ud.gaussian_psf(1.2), "replicate"), ud.Gaussian(0.01)),
    "low resolution": (
        ud.Downsample(2) @ ud.Blur(ud.gaussian_psf(1.0), "replicate"),
        ud.Gaussian(0.01),
    ),
}
GOLDEN = {
    ("variational", "noise"): 26.54,
    ("variational", "blur"): 28.92,
    ("variational", "low resolution"): 27.86,
    ("wiener", "noise"): 28.31,
    ("wiener", "blur"): 29.77,
    ("quadratic", "noise"): 25.99,
    ("quadratic", "blur"): 29.01,
    ("quadratic", "low resolution"): 28.14,
    ("learned", "noise"): 29.64,
    ("learned", "blur"): 30.24,
    ("learned", "low resolution"): 29.01,
}
# Thin networks and few iterations: bits that differ between machines grow, hence 0.3 dB
THIN = {"widths": (8, 16, 32), "iterations": 80}
UNTRAINED = {
    "deep image prior, noise": (ud.UntrainedNetwork(**THIN), "noise", 24.11),
    "deep random projector, noise": (
        ud.UntrainedNetwork(**THIN, fit="code", rate=0.05),
        "noise",
        23.22,
    ),
    "double over-parameterization": (ud.RobustUntrainedNetwork(**THIN), "random values", 34.26),
    "double over-parameterization from noise": (
        ud.RobustUntrainedNetwork(**THIN, start="noise", delay=30.0),
        "random values",
        22.17,
    ),
}


def photograph() -> torch.Tensor:
    pixels = torch.from_numpy(data.astronaut()[20:100, 180:260].copy())
    return pixels.permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize(("method", "degradation", "decibels"), UNTRAINED.values(), ids=UNTRAINED)
def test_psnr_of_untrained_networks(method, degradation, decibels):
    x, draw = photograph(), torch.Generator().manual_seed(7)
    A, eta = DEGRADATIONS.get(degradation, (ud.Identity(), ud.Gaussian(0.1)))
    if degradation == "random values":
        where = torch.rand(x.shape, generator=draw) < 0.3
        y = torch.where(where, torch.rand(x.shape, generator=draw), x)
    else:
        y = eta.sample(A(x), draw)
    restored = method.restore(ud.Measurement(y, A, eta)).x
    assert float(ud.psnr(restored, x)) == pytest.approx(decibels, abs=0.3)


@pytest.mark.parametrize(("method", "degradation"), GOLDEN, ids=[", ".join(row) for row in GOLDEN])
def test_psnr(method, degradation):
    x = photograph()
    A, eta = DEGRADATIONS[degradation]
    y = eta.sample(A(x), torch.Generator().manual_seed(7))
    restored = RESTORERS[method]().restore(ud.Measurement(y, A, eta)).x
    assert float(ud.psnr(restored, x)) == pytest.approx(GOLDEN[method, degradation], abs=0.05)
