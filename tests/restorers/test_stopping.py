"""Early stopping: rules whose least score is known beforehand."""

import math
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import undegrade as ud


class Shown(NamedTuple):
    """A state that shows a number everywhere."""

    x: Tensor
    residual: Tensor


class Playing:
    """A solver that plays pictures one after the other."""

    def __init__(self, pictures: Tensor) -> None:
        self.pictures = pictures

    def init(self, problem: Any, x0: Tensor, near: Shown | None = None) -> Shown:
        del problem, near
        return Shown(x0, torch.ones(len(x0)))

    def step(self, problem: Any, state: Shown) -> Shown:
        del problem
        k = int(state.residual[0]) - 1
        return Shown(self.pictures[k][None], state.residual + 1)


def test_the_least_variance_of_a_window_after_the_warm_up_is_kept() -> None:
    """The steps shrink until picture 30 and grow from there."""
    steps = (torch.arange(80) - 30).abs().float() + 1
    pictures = (steps * (-1) ** torch.arange(80)).reshape(80, 1, 1, 1).expand(80, 3, 4, 5) / 100
    rule = ud.WindowedVariance(window=5, patience=20)
    stop = ud.any_of(ud.until(iterations=80), rule)
    result = ud.solve(Playing(pictures), None, torch.zeros(1, 3, 4, 5), stop=stop)
    variance = [float(pictures[k - 5 : k].var(0, correction=0).mean()) for k in range(5, 81)]
    best = 5 + min(range(76), key=variance.__getitem__)
    assert result.status == (ud.Status.OUTWAITED,)
    assert result.iterations == (best + 20,)
    assert torch.equal(result.x[0], pictures[best - 1])


def test_before_the_warm_up_nothing_is_a_minimum() -> None:
    """Pictures that do not move at first; a budget below the warm-up keeps the newest one."""
    pictures = torch.cat((torch.zeros(20), torch.rand(20))).reshape(40, 1, 1, 1)
    stop = ud.any_of(ud.until(iterations=40), ud.WindowedVariance(window=4, warm_up=38))
    result = ud.solve(Playing(pictures), None, torch.zeros(1, 1, 1, 1), stop=stop)
    assert float(result.x) in pictures[37:].flatten().tolist()
    stop = ud.any_of(ud.until(iterations=30), ud.WindowedVariance(window=4, warm_up=38))
    short = ud.solve(Playing(pictures), None, torch.zeros(1, 1, 1, 1), stop=stop)
    assert float(short.x) == float(pictures[29])


def test_of_a_large_picture_some_entries_are_remembered() -> None:
    state = Shown(torch.rand(2, 3, 200, 200), torch.zeros(2))
    memory = ud.WindowedVariance(window=3).begin(state)
    assert memory.last.shape == (3, 2, 2**15)


@pytest.mark.parametrize("settings", [{"window": 1}, {"patience": 0}])
def test_windows_that_make_no_sense_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected a window of 2 iterates or more"):
        ud.WindowedVariance(**settings)


def _measured() -> tuple[Tensor, ud.Measurement]:
    x = torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(1))
    eta = ud.Gaussian(0.1)
    y = eta.sample(x, torch.Generator().manual_seed(2))
    return x, ud.Measurement(y, ud.Identity(), eta)


def test_the_misfit_is_the_error_plus_a_constant() -> None:
    """Of estimates that see nothing but what is fitted, here that itself, drawn to the mean."""
    x, measurement = _measured()
    fitted, misfit = ud.recorrupt(measurement, 0.4)
    errors, misfits = [], []
    for share in (0.0, 0.5, 1.0):
        estimate = (1 - share) * fitted.y + share * 0.5
        state = Shown(estimate, torch.zeros(2))
        errors.append((estimate - x).square().flatten(1).mean(1))
        misfits.append(misfit(0, state))
    for k in (1, 2):
        torch.testing.assert_close(
            misfits[k] - misfits[0], errors[k] - errors[0], atol=6e-3, rtol=0.1
        )


def test_clipped_noise_and_impulses_do_not_draw_the_held_out_misfit_off_the_truth() -> None:
    """Their mean is not the truth, and squares would be least there; their median is."""
    x = torch.full((1, 3, 60, 60), 0.9)
    y = ud.Gaussian(0.3).sample(x, torch.Generator().manual_seed(3)).clamp(0, 1)
    pepper = torch.rand(x.shape, generator=torch.Generator().manual_seed(4)) < 0.1
    y = torch.where(pepper, 0.0, y)
    _, misfit = ud.hold_out(ud.Measurement(y), 0.5)
    away = {
        level: float(misfit(0, Shown(torch.full_like(y, level), torch.zeros(1))))
        for level in (float(y.mean()), 0.85, 0.95, 1.0)
    }
    assert min(away, key=away.__getitem__) == 0.85
    assert float(y.mean()) < 0.75


def test_as_many_entries_are_held_out_as_make_a_steady_score() -> None:
    shares = []
    for side in (16, 64, 96, 400):
        _, misfit = ud.hold_out(ud.Measurement(torch.rand(1, 3, side, side), ud.Identity()))
        shares.append(float(misfit.where.mean()))
    assert shares == pytest.approx([0.2, 0.2, 2500 / (3 * 96**2), 0.05], abs=0.02)


def test_what_is_held_out_is_not_fitted() -> None:
    _, measurement = _measured()
    fitted, misfit = ud.hold_out(measurement, 0.25)
    assert 0.2 < float(misfit.where.mean()) < 0.3
    prediction = fitted.operator(torch.ones_like(measurement.y))
    assert torch.equal(prediction, 1 - misfit.where)


def test_lost_entries_neither_validate_nor_break_anything() -> None:
    y = 0.2 + 0.6 * torch.rand(1, 3, 48, 48)
    lost = torch.zeros(1, 3, 48, 48, dtype=torch.bool)
    lost[..., ::3, ::3] = True
    y[lost] = 1.0
    fitted, misfit = ud.recorrupt(ud.Measurement(y, ud.Identity(), ud.SaltAndPepper(0.3)))
    assert bool(fitted.y.isfinite().all())
    assert float(misfit.where[lost].sum()) == 0
    assert math.isfinite(float(misfit(0, Shown(y, torch.zeros(1)))))


@pytest.mark.parametrize("call", [lambda m: ud.hold_out(m, 1.0), lambda m: ud.recorrupt(m, 0.0)])
def test_shares_that_make_no_sense_are_refused(call: Any) -> None:
    with pytest.raises(ValueError, match="expected a"):
        call(_measured()[1])
