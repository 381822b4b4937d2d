"""What stands at entries that say nothing never matters, whatever it is."""

from typing import Any

import pytest
import torch
from torch import Tensor

import undegrade as ud
from undegrade.core.operator import LinearOperator, Operator
from undegrade.linear_algebra.probes import random_signs
from undegrade.restorers import RESTORERS

SHAPE = 1, 3, 24, 28
SETTINGS: dict[str, dict[str, Any]] = {
    "variational": {"iterations": 20, "weight": 10.0},
    "quadratic": {"iterations": 20, "weight": 100.0},
    "deep-image-prior": {"iterations": 3, "widths": (4, 4)},
    "double-overparametrization": {"iterations": 3, "widths": (4, 4)},
    "plug-and-play": {"denoiser": lambda x, _: x, "steps": 2},
}


class Physics:
    """An operator of somebody else's, with a mask inside."""

    def __init__(self, inner: LinearOperator) -> None:
        self.inner = inner

    def A(self, x: Tensor) -> Tensor:
        return self.inner(x)

    def A_adjoint(self, y: Tensor) -> Tensor:
        return self.inner.adjoint(y)


def hole(height: int = 24, width: int = 28) -> ud.Mask:
    observed = torch.ones(height, width)
    observed[height // 6 : height * 2 // 3, width // 5 : width * 2 // 3] = 0
    observed[-2, ::3] = 0
    return ud.Mask(observed)


BLUR = ud.Blur(ud.gaussian_psf(0.7))  # 7×7: less than the hole
OPERATORS: dict[str, Operator] = {
    "mask": hole(),
    "behind a blur": hole() @ BLUR,
    "before a blur": BLUR @ hole(),
    "between": BLUR @ hole() @ BLUR,
    "low resolution": hole(12, 14) @ ud.Downsample(2) @ BLUR,
    "physics": ud.from_physics(Physics(hole())),  # pyright: ignore[reportArgumentType]
}


def measured(operator: Operator, noise: float = 0.05) -> tuple[Tensor, Tensor]:
    """A measurement, and where it says nothing."""
    ramp = torch.linspace(0.2, 0.8, SHAPE[3]).expand(SHAPE)
    y = operator((ramp > 0.4) * 0.3 + 0.5 * ramp)
    lost = operator.lost(y)
    assert lost is not None
    generator = torch.Generator().manual_seed(0)
    return y + noise * torch.randn(y.shape, generator=generator), lost.expand_as(y)


TOLERANT = sorted(set(RESTORERS) - {"wiener", "analytic-deep-prior"})
"""Wiener refuses lost entries, the analytic deep prior whatever is no convolution."""


@pytest.mark.parametrize("name", ["behind a blur", "between"])
@pytest.mark.parametrize("method", TOLERANT)
def test_no_method_looks_at_lost_entries(method: str, name: str) -> None:
    content = torch.nan if method == "learned" else -1e6
    y, lost = measured(OPERATORS[name])
    restorer = RESTORERS[method](**SETTINGS.get(method, {}))
    expected, seen = (
        restorer.restore(
            ud.Measurement(torch.where(lost, c, y), OPERATORS[name], ud.Gaussian(0.05))
        )
        for c in (0.0, content)
    )
    assert bool(expected.x.isfinite().all())
    assert torch.equal(seen.x, expected.x)


@pytest.mark.parametrize("name", sorted(set(OPERATORS) - {"low resolution"}))  # it has few blocks
@pytest.mark.parametrize("rule", [ud.UnbiasedRisk(), ud.Discrepancy()], ids=["risk", "discrepancy"])
def test_no_rule_and_no_estimate_looks_at_lost_entries(rule: Any, name: str) -> None:
    y, lost = measured(OPERATORS[name])
    a, b = (ud.Measurement(torch.where(lost, c, y), OPERATORS[name]) for c in (0.0, 1e6))
    assert torch.equal(a.likelihood.noise.precision(a.y), b.likelihood.noise.precision(b.y))
    method = ud.Quadratic(rule=rule, iterations=2)
    assert torch.equal(method.restore(a).x, method.restore(b).x)


def test_the_discrepancy_counts_what_was_seen() -> None:
    operator, noise = OPERATORS["behind a blur"], ud.Gaussian(0.05)
    y, lost = measured(operator)
    result = ud.Quadratic(rule=ud.Discrepancy()).restore(ud.Measurement(y, operator, noise))
    misfit = (operator(result.x) - y)[~lost]
    assert float(misfit.square().mean().sqrt()) == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize("method", ["variational", "quadratic", "learned"])
def test_no_method_looks_where_the_likelihood_trusts_nothing(method: str) -> None:
    y, lost = measured(hole())
    noise = ud.Gaussian(torch.where(lost, torch.inf, 0.05))
    a, b = (
        RESTORERS[method](**SETTINGS.get(method, {})).restore(
            ud.Measurement(torch.where(lost, c, y), likelihood=noise)
        )
        for c in (0.0, torch.nan)
    )
    assert torch.equal(a.x, b.x)


SCALED = {
    "variational": {"iterations": 60, "rule": ud.UnbiasedRisk(evaluations=3)},
    "quadratic": {"rule": ud.UnbiasedRisk(evaluations=4)},
}


@pytest.mark.parametrize(
    ("method", "scale"),
    [
        ("variational", 255.0),
        ("quadratic", 65535.0),
        ("quadratic", 1 / 64),
        ("wiener", 65535.0),
        ("learned", 4095.0),
        ("learned", 1 / 64),
    ],
)
def test_results_scale_with_the_picture(method: str, scale: float) -> None:
    x = (torch.linspace(0.1, 1, 40).expand(1, 3, 32, 40) > 0.4) * 0.5 + 0.25
    noise = 0.05 * random_signs(x, 0)
    restorer = RESTORERS[method](**SCALED.get(method, {}))
    y = BLUR(x) + noise
    plain = restorer.restore(ud.Measurement(y, BLUR, ud.Gaussian(0.05))).x
    scaled = restorer.restore(ud.Measurement(scale * y, BLUR, ud.Gaussian(scale * 0.05))).x
    # but for rounding, and Huber's δ in its own units
    assert float((scaled / scale - plain).square().mean().sqrt()) < 0.01


def test_an_offset_that_is_more_than_noise_is_kept_by_the_learned_method() -> None:
    x = (torch.linspace(0.1, 1, 40).expand(1, 3, 32, 40) > 0.4) * 0.5 + 0.25
    y = x + 0.05 * random_signs(x, 0)
    restored = ud.RecurrentInference().restore(
        ud.Measurement(y - 0.6, likelihood=ud.Gaussian(0.05))
    )
    assert float((restored.x + 0.6 - x).square().mean().sqrt()) < 0.02
    assert restored.x.min() < -0.3
