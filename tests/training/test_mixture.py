"""What a universal network is trained on."""

import pytest
import torch

from undegrade.degradations.random import (
    Deblurring,
    Denoising,
    Inpainting,
    Photographing,
    SuperResolution,
)
from undegrade.likelihoods.saturated import Saturated
from undegrade.operators.response_curves import SRGB, Gamma
from undegrade.training.mixture import FINEST, Mixture, random_kernels

KERNELS = random_kernels(torch.Generator().manual_seed(0), size=13, per_kind=4)
KINDS = {
    "denoising": Denoising,
    "deblurring": Deblurring,
    "super_resolution": SuperResolution,
    "inpainting": Inpainting,
    "cameras": Photographing,
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noisy(task):
    """What decides the noise and the rounding of a task."""
    d = task.degradations
    return d.blurring if isinstance(d, Photographing) else d


def only(name: str, **settings: float) -> Mixture:
    return Mixture(**{**dict.fromkeys(KINDS, 0.0), name: 2.0, **settings})


@pytest.mark.parametrize("name", KINDS)
def test_the_noise_is_as_strong_as_it_is_said_to_be(name):
    """Where nothing was clipped, ‖y − Ax‖²/σ² is the number of entries, but for rounding."""
    crops = 0.3 + 0.4 * torch.rand(2, 3, 36, 36, generator=generator(5))
    for i, task in enumerate(only(name).tasks(generator())):
        x, m = task.draw(crops, generator(i))
        assert x.shape[1] == (1 if task.gray else 3)
        fitting = m.y - m.operator(x)
        noise = m.likelihood
        std = (noise.unclipped if isinstance(noise, Saturated) else noise).std
        kept = (m.y != 0) & (m.y != 1)
        total = torch.where(kept, fitting, 0).square().flatten(1).sum(1)
        # rounding to 8 bits adds the variance of a level's width
        variance = std.square() + (noisy(task).bits == 8) * (1 / 255) ** 2 / 12
        ratio = total / kept.flatten(1).sum(1) / variance
        assert ((ratio.sqrt() - 1).abs() < 0.25).all()


@pytest.mark.parametrize("name", KINDS)
def test_a_family_gets_the_share_that_it_was_given(name):
    tasks = only(name, gray=0.25).tasks(generator())
    assert {type(task.degradations) for task in tasks} == {KINDS[name]}
    assert sum(task.share for task in tasks) == pytest.approx(2.0)


def test_all_boundaries_factors_and_kinds_of_holes_occur():
    families = [task.degradations for task in Mixture().tasks(generator())]
    boundaries = {f.boundary for f in families if isinstance(f, Deblurring)}
    assert boundaries == {"periodic", "valid", "replicate"}
    assert {f.factor for f in families if isinstance(f, SuperResolution)} == {2, 3, 4}
    holes = {(f.apart, f.block) for f in families if isinstance(f, Inpainting)}
    assert holes == {(True, 1), (False, 1), (False, 6)}
    assert {f.bits for f in families} == {None, 8}


def test_cameras_have_both_curves_and_all_boundaries_and_encoded_pictures():
    cameras = [task.degradations for task in only("cameras").tasks(generator())]
    assert {type(c.curve) for c in cameras} == {Gamma, SRGB}
    assert {c.blurring.boundary for c in cameras} == {"periodic", "valid", "replicate"}
    assert {c.scene for c in cameras} == {"encoded"}


def test_cameras_are_left_out_unless_they_are_asked_for():
    found = {type(task.degradations) for task in Mixture().tasks(generator())}
    assert found == set(KINDS.values()) - {Photographing}


def test_a_fraction_of_denoising_is_gray():
    tasks = only("denoising", gray=0.3).tasks(generator())
    assert sum(t.share for t in tasks if t.gray) == pytest.approx(0.6)
    assert not any(t.gray for t in only("denoising", gray=0.0).tasks(generator()))


def test_crops_are_cut_to_multiples_of_the_factor():
    crops = torch.rand(1, 3, 35, 38, generator=generator())
    for task in only("super_resolution").tasks(generator()):
        x, m = task.draw(crops, generator())
        assert x.shape[-2] == m.y.shape[-2] * task.degradations.factor
        assert x.shape[-1] == m.y.shape[-1] * task.degradations.factor


def test_kernels_sum_to_one_and_differ():
    torch.testing.assert_close(KERNELS.sum((1, 2, 3)), torch.ones(len(KERNELS)))
    assert KERNELS.shape[1:] == (1, 13, 13)
    assert len({tuple(k.flatten().tolist()) for k in KERNELS}) == len(KERNELS)


@pytest.mark.parametrize("name", KINDS)
def test_without_noise_the_finest_is_drawn(name):
    quiet = dict.fromkeys(("noise", "blur_noise", "resolution_noise", "inpainting_noise"), 0.0)
    tasks = only(name, **quiet).tasks(generator())
    assert {noisy(task).std for task in tasks} == {(FINEST, FINEST)}
    assert sum(task.share for task in tasks) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"denoising": -1.0}, "expected shares of 0 or more"),
        ({"denoising": 0.0}, "not all 0"),
        ({"denoising": float("nan")}, "expected shares of 0 or more"),
        ({"gray": float("nan")}, "a share of gray pictures"),
        ({"inpainting": float("nan")}, "expected shares of 0 or more"),
        ({"cameras": -0.5}, "expected shares of 0 or more"),
        ({"cameras": float("nan")}, "expected shares of 0 or more"),
        ({"blur_noise": float("nan")}, "expected noise of 0 or more"),
        ({"blur_noise": -1.0}, "expected noise of 0 or more, in 8-bit levels"),
        ({"gray": 1.5}, r"a share of gray pictures in \[0, 1\], got 1.5"),
        ({"gray": -0.1}, "a share of gray pictures"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, match):
    with pytest.raises(ValueError, match=match):
        only("denoising", **settings).tasks(generator())
