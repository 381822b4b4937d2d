"""Untrained networks as methods: on small pictures, a few hundred iterations of a thin network."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import undegrade as ud
from undegrade.machines import skip_drawing
from undegrade.machines.skip_drawing import bytes_needed

THIN = (8, 12, 16)


@pytest.fixture(scope="module")
def truth() -> Tensor:
    """A bright disk on a slope, in color; 40 × 33 fits no power of two."""
    down, along = torch.meshgrid(
        torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 33), indexing="ij"
    )
    disk = 0.6 * (down.square() + along.square() < 0.4)
    return torch.stack((0.2 + 0.2 * (down + along) / 2 + disk, 0.3 + disk, 0.4 - disk / 2))[None]


def salted(x: Tensor) -> Tensor:
    return ud.SaltAndPepper(0.3, 1e-3).sample(x, torch.Generator().manual_seed(4))


def measured(y: Tensor) -> ud.Measurement:
    return ud.Measurement(y, ud.Identity(), ud.Gaussian(0.1))


def test_gross_corruption_goes_and_is_handed_over(truth):
    y = salted(truth)
    method = ud.RobustUntrainedNetwork(widths=THIN, iterations=400, delay=60.0)
    result = method.restore(measured(y))
    assert result.x.shape == truth.shape
    assert float(ud.psnr(result.x, truth)) > float(ud.psnr(y, truth)) + 12
    corruption, entries = result.state.inner.corruption, (y - truth).abs() > 0.3
    assert float((corruption - (y - truth))[entries].abs().median()) < 0.1
    assert float(corruption[~entries].abs().median()) < 0.01


def test_what_is_known_of_the_noise_is_not_used_where_nothing_has_to_be_known(truth):
    y = salted(truth)
    method = ud.RobustUntrainedNetwork(widths=THIN, iterations=3)
    told = method.restore(ud.Measurement(y, ud.Identity(), ud.Laplace(0.3)))
    assert torch.equal(told.x, method.restore(measured(y)).x)


@pytest.mark.parametrize("loss", ["gaussian", "laplace", "likelihood"])
def test_noise_and_blur_under_any_loss(truth, loss):
    A, eta = ud.Blur(ud.gaussian_psf(1.0), "reflect"), ud.Gaussian(0.05)
    y = eta.sample(A(truth), torch.Generator().manual_seed(5))
    method = ud.UntrainedNetwork(widths=THIN, iterations=200, loss=loss)
    result = method.restore(ud.Measurement(y, A, eta))
    assert float(ud.psnr(result.x, truth)) > float(ud.psnr(y, truth)) + 1


def test_it_stops_where_the_pictures_vary_least_and_keeps_that_one(truth):
    y = ud.Gaussian(0.1).sample(truth, torch.Generator().manual_seed(6))
    drawn = list[Tensor]()

    def observe(iteration: int, state: Any) -> dict[str, Tensor]:
        del iteration
        drawn.append(state.inner.x)
        return {}

    method = ud.UntrainedNetwork(
        widths=THIN, iterations=600, stopping="variance", window=30, patience=60
    )
    result = method.restore(measured(y), observe=(observe,))
    last = [torch.stack(drawn[k - 30 : k]) for k in range(30, len(drawn) + 1)]
    variance = [float(pictures.var(0, correction=0).mean()) for pictures in last]
    best = 30 + min(range(len(variance)), key=variance.__getitem__)
    assert result.status == (ud.Status.OUTWAITED,)
    assert result.iterations == (len(drawn),) == (best + 60,)
    again = replace(method, iterations=best, patience=600)
    assert torch.equal(again.restore(measured(y)).state.x, result.x)


@pytest.mark.parametrize("stopping", ["held-out", "recorrupted"])
def test_what_is_held_out_judges_pictures_that_have_not_seen_it(truth, stopping):
    """The picture that is kept is a drawn one, not the measurement that a solve begins at."""
    eta = ud.Gaussian(0.15)
    y = eta.sample(truth, torch.Generator().manual_seed(7))
    method = ud.UntrainedNetwork(widths=THIN, iterations=150, stopping=stopping, patience=100)
    result = method.restore(ud.Measurement(y, ud.Identity(), eta))
    assert float(ud.psnr(result.x, truth)) > float(ud.psnr(y, truth)) + 5


def test_all_is_fitted_for_as_long_as_what_was_held_out_says(truth):
    """Each of two samples for its own number of iterations; the mean of both fits is kept."""
    y = torch.cat(
        [ud.Gaussian(s).sample(truth, torch.Generator().manual_seed(8)) for s in (0.02, 0.3)]
    )
    method = ud.UntrainedNetwork(widths=THIN, iterations=80, patience=80, precision="float32")
    result = method.restore(measured(y))
    judged = torch.stack([r.values["held-out"] for r in result.trace if "held-out" in r.values])
    counts = (judged.argmin(0) + 1).tolist()
    assert counts[0] > counts[1]
    assert result.iterations == tuple(80 + n for n in counts)
    for k, n in enumerate(counts):
        rest, misfit = ud.hold_out(measured(y[k : k + 1]))
        assert misfit.power == 1
        fixed = replace(method, stopping="variance", iterations=n, window=1000)
        parts = [fixed.restore(m).state.x for m in (measured(y[k : k + 1]), rest)]
        # bits that differ between a batch and its members grow
        torch.testing.assert_close(result.x[k], (parts[0] + parts[1])[0] / 2, atol=0.03, rtol=0)


def test_diminishing_steps_diminish(truth):
    """The loss falls, and at the end hardly a weight moves: a thousandth of the first rate."""
    weights, loss = list[Tensor](), list[float]()

    def observe(iteration: int, state: Any) -> dict[str, Tensor]:
        del iteration
        weights.append(state.inner.parameters)
        loss.append(float(state.inner.loss))
        return {}

    method = ud.UntrainedNetwork(
        widths=THIN, iterations=60, loss="laplace", descent="diminishing", rate=0.05
    )
    method.restore(measured(salted(truth)), observe=(observe,))
    assert loss[-1] < 0.9 * loss[0]
    first, last = (float((weights[k] - weights[k - 1]).norm()) for k in (1, -1))
    assert last < 0.01 * first


def test_a_fitted_code_moves_no_weights(truth):
    """Deep random projector: code, scales and shifts alone; it still comes closer."""
    method = ud.UntrainedNetwork(widths=THIN, iterations=60, fit="code", rate=0.05)
    result = method.restore(measured(truth))
    whole = replace(method, fit="weights", iterations=1).restore(measured(truth))
    pixels, norms = 16 * 40 * 33, 2 * sum(m.num_features for m in _norms())
    assert result.state.inner.parameters.shape == (1, pixels + norms)
    assert float(ud.psnr(result.x, truth)) > float(ud.psnr(whole.x, truth)) + 2


def _norms() -> list[torch.nn.BatchNorm2d]:
    network = ud.SkipNetwork(16, 3, THIN, (4,) * 3)
    return [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def test_one_seed_is_one_picture(truth):
    one, same, other = (
        ud.UntrainedNetwork(widths=THIN, iterations=3, seed=seed).restore(measured(truth)).x
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


def test_a_network_that_does_not_fit_is_refused_with_one_that_does(truth, monkeypatch):
    wide = (64, 64, 64)
    half = bytes_needed(truth, (32, 32, 32))
    monkeypatch.setattr(skip_drawing, "free_bytes", lambda _: 1.2 * half)
    with pytest.raises(
        ValueError, match=r"widths \(64, 64, 64\) needs .* widths \(32, 32, 32\) would"
    ):
        ud.UntrainedNetwork(widths=wide, iterations=1).restore(measured(truth))
    monkeypatch.setattr(skip_drawing, "free_bytes", lambda _: 1000)
    with pytest.raises(ValueError, match="no width would fit"):
        ud.UntrainedNetwork(widths=wide, iterations=1).restore(measured(truth))


def test_of_a_small_picture_the_weights_are_what_does_not_fit(truth):
    """129 GB for one layer, where the picture takes a few megabytes."""
    with pytest.raises(ValueError, match=r"widths \(60000, 60000\) needs .* would fit"):
        ud.UntrainedNetwork(widths=(60000, 60000), iterations=1).restore(measured(truth))
