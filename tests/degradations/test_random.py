"""The random degradations of the experiments."""

import pytest
import torch

from tests.cases import uniform
from undegrade.degradations.flags import DegradationFlags
from undegrade.degradations.random import (
    Deblurring,
    Denoising,
    Inpainting,
    Photographing,
    SuperResolution,
    measured,
)
from undegrade.kernels.camera_shake import camera_shake_psfs
from undegrade.likelihoods.rounding import rounded
from undegrade.operators.response_curves import SRGB, Gamma

PROTOCOLS = {
    "denoising": Denoising(),
    "denoising in 8 bits": Denoising(bits=8),
    "deblurring": Deblurring(),
    "deblurring with given kernels": Deblurring(
        psfs=camera_shake_psfs(3, 9, torch.Generator().manual_seed(0))
    ),
    "behind a camera": Photographing(blurring=Deblurring(boundary="replicate"), curve=Gamma(2.2)),
    "light behind a camera": Photographing(blurring=Deblurring(), curve=SRGB(), scene="linear"),
    "super-resolution 2": SuperResolution(),
    "super-resolution 3": SuperResolution(factor=3),
    "super-resolution 4": SuperResolution(factor=4),
    "super-resolution with given kernels": SuperResolution(
        psfs=camera_shake_psfs(3, 9, torch.Generator().manual_seed(0))
    ),
    "inpainting": Inpainting(),
    "inpainting of color entries": Inpainting(apart=True),
    "inpainting of blocks": Inpainting(block=5, lost=(0.1, 0.4)),
    "flags": DegradationFlags(blur="shake:9", mask=0.4, noise="gaussian:0.05"),
}


def drawn(protocol, x, seed=0):
    return measured(x, protocol, torch.Generator().manual_seed(seed))[1]


@pytest.fixture(params=PROTOCOLS.values(), ids=PROTOCOLS.keys())
def protocol(request):
    return request.param


def test_the_measurement_is_of_the_picture_with_the_noise_it_says(protocol):
    x = 0.25 + 0.5 * uniform(6, 3, 48, 48).float()
    m = drawn(protocol, x)
    assert m.operator.initial(m.y).shape == x.shape
    weighed = m.likelihood.precision(m.y) * (m.operator(x) - m.y).square()
    seen = m.operator(torch.ones_like(x)) > 0
    for value, counted in zip(weighed, seen, strict=True):
        assert float(value[counted].mean()) == pytest.approx(1, abs=0.15)


def test_every_image_has_its_own_noise_and_kernel(protocol):
    x = uniform(1, 3, 48, 48).float().expand(4, 3, 48, 48)
    m = drawn(protocol, x)
    assert m.likelihood.std.numel() == 1 or len(m.likelihood.std.unique()) == 4
    clear = m.operator(x)
    if m.operator.state_dict():  # all but denoising have numbers of their own
        assert not torch.equal(clear[0], clear[1])


def test_the_same_generator_draws_the_same(protocol):
    x = uniform(2, 3, 48, 48).float()
    assert torch.equal(drawn(protocol, x).y, drawn(protocol, x).y)
    assert not torch.equal(drawn(protocol, x).y, drawn(protocol, x, seed=1).y)


def test_levels_lie_in_their_range():
    std = drawn(Denoising(std=(0.1, 0.2)), torch.zeros(200, 1, 2, 2)).likelihood.std
    assert 0.1 <= std.min() < 0.105
    assert 0.195 < std.max() <= 0.2


def test_eight_bit_measurements_are_what_a_file_holds():
    y = drawn(Denoising(bits=8), uniform(2, 3, 16, 16)).y
    assert y.min() >= 0
    assert y.max() <= 1
    torch.testing.assert_close(255 * y, (255 * y).round())
    assert torch.equal(rounded(y), y)


def test_given_kernels_are_turned_but_not_changed():
    psfs = camera_shake_psfs(1, 9, torch.Generator().manual_seed(3))
    m = drawn(Deblurring(psfs=psfs, boundary="valid"), torch.zeros(64, 1, 12, 12))
    seen = m.operator.psf
    ways = [psfs[0].rot90(k, (-2, -1)) for k in range(4)]
    ways += [w.flip(-1) for w in ways]
    hits = [sum(bool(torch.equal(k, way)) for k in seen) for way in ways]
    assert sum(hits) == 64
    assert min(hits) > 0


def test_lost_pixels_measure_exactly_zero_in_all_channels():
    m = drawn(Inpainting(lost=(0.5, 0.5)), uniform(2, 3, 40, 40) + 1)
    lost = m.y == 0
    assert torch.equal(lost.any(1), lost.all(1))
    assert float(lost.double().mean()) == pytest.approx(0.5, abs=0.03)


def test_a_blur_behind_a_camera_is_one_of_light():
    """Encoded pictures are decoded, blurred and encoded; linear ones blurred and encoded."""
    x, curve = 0.1 + 0.8 * uniform(2, 3, 30, 30).float(), Gamma(2.2)
    blurring = Deblurring(size=9, boundary="replicate")
    blur = drawn(blurring, x).operator
    for scene, light in (("encoded", curve.decode(x)), ("linear", x)):
        m = drawn(Photographing(blurring=blurring, curve=curve, scene=scene), x)
        assert not m.operator.linear
        torch.testing.assert_close(m.operator(x), curve.encode(blur(light)))
