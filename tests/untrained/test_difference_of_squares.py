"""How corruption grows: the closed form against the published steps, and the derived delay."""

import math

import pytest
import torch

from undegrade.untrained.difference_of_squares import (
    FactorDescent,
    HyperbolicMirror,
    SparseRule,
    rate_of_delay,
)


def _grown(rule: SparseRule, residuals: torch.Tensor) -> torch.Tensor:
    """s after a sequence of residuals, one row each."""
    factors = rule.begin(torch.zeros(1, 1, 1, residuals.shape[1], dtype=torch.float64))
    for count, residual in enumerate(residuals, 1):
        factors = rule.update(factors, residual.reshape(1, 1, 1, -1), torch.tensor(count))
    return rule.corruption(factors).flatten()


@pytest.mark.parametrize(("magnitude", "delay"), [(0.5, 100.0), (0.2, 37.0), (1.0, 800.0)])
def test_corruption_is_taken_over_after_the_delay_that_was_asked_for(magnitude, delay):
    rule = HyperbolicMirror(rate=rate_of_delay(delay, magnitude, 1e-5), scale=1e-5)
    missed = torch.tensor([-magnitude, magnitude, -magnitude / 2], dtype=torch.float64)
    after = _grown(rule, missed.expand(int(delay), 3))
    torch.testing.assert_close(after[:2], -missed[:2])
    assert abs(after[2]) < 1e-3 * magnitude  # half the residual: not yet


def test_the_closed_form_is_the_limit_of_small_published_steps():
    """From equal factors g = h = γ; the draw of `FactorDescent` is replaced by that start."""
    residuals = torch.linspace(-1, 0.4, 50, dtype=torch.float64)[:, None].expand(50, 3)
    rate, scale = 0.2, 1e-2
    flow = _grown(HyperbolicMirror(rate=rate, scale=scale), residuals)
    error = []
    for pieces in (1, 10):
        steps, y = FactorDescent(rate=rate / pieces, scale=scale), torch.zeros(1, 1, 1, 3)
        factors = torch.full_like(steps.begin(y.double()), scale)
        for residual in residuals.repeat_interleave(pieces, 0):
            factors = steps.update(factors, residual.reshape(1, 1, 1, 3), torch.tensor(1))
        error.append(float((steps.corruption(factors).flatten() - flow).abs().max()))
    assert error[1] < 0.15 * error[0]  # of first order in the step
    assert error[1] < 0.1 * float(flow.abs().max())


def test_both_signs_start_from_nothing():
    y = torch.rand(2, 3, 4, 5)
    for rule in (HyperbolicMirror(rate=1.0), FactorDescent(rate=1.0)):
        assert rule.corruption(rule.begin(y)).shape == y.shape
        assert float(rule.corruption(rule.begin(y)).abs().max()) < 1e-8


@pytest.mark.parametrize("rule", [HyperbolicMirror, FactorDescent])
@pytest.mark.parametrize(("rate", "scale"), [(0.0, 1e-5), (1.0, -1e-5)])
def test_settings_that_make_no_sense_are_refused(rule, rate, scale):
    with pytest.raises(ValueError, match="expected a rate and a scale above 0"):
        rule(rate=rate, scale=scale)


def test_only_what_the_start_misses_grossly_is_corruption_from_the_beginning():
    rule = HyperbolicMirror(gross=0.1)
    missed = torch.tensor([[[[0.09, -0.3, math.nan]]]])
    taken = rule.corruption(rule.begin(missed)).flatten()
    torch.testing.assert_close(taken, torch.tensor([0.0, -0.3, math.nan]), equal_nan=True)
    assert rule.corruption(HyperbolicMirror().begin(missed))[0, 0, 0, 1] == 0
