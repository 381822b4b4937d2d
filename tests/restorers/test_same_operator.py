"""An operator is asked what it does, not who it is: the same map gives the same picture."""

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch

import undegrade as ud
from tests.cases import Denoising
from undegrade.core.operator import Operator
from undegrade.restorers import RESTORERS

NOTHING: dict[str, Callable[[], Operator]] = {
    "mask": lambda: ud.Mask(torch.ones(24, 32)),
    "composition": lambda: ud.Identity() @ ud.Identity(),
    "physics": lambda: ud.from_physics(Denoising()),
    "beside a mask": lambda: ud.Identity() @ ud.Mask(torch.ones(24, 32)) @ ud.Identity(),
}


def picture() -> torch.Tensor:
    ramp = torch.linspace(0.2, 0.8, 32).expand(1, 3, 24, 32)
    return (ramp > 0.4) * 0.3 + 0.5 * ramp


LONG: dict[str, dict[str, Any]] = {
    "deep-image-prior": {"iterations": 3},
    "double-overparametrization": {"iterations": 3, "start": "noise"},
    "analytic-deep-prior": {"iterations": 2},
}
"""What is fitted to one picture takes long, and few iterations tell operators apart."""


@functools.cache
def of_the_identity(method: str, noise: Any) -> Any:
    return restored(method, ud.Identity(), noise)


def restored(method: str, operator: Operator, noise: Any) -> Any:
    y = noise.sample(picture(), torch.Generator().manual_seed(3))
    restorer = RESTORERS[method](**LONG.get(method, {}))
    return restorer.restore(ud.Measurement(y, operator, noise))


@pytest.mark.parametrize("noise", [ud.Gaussian(0.05), ud.Laplace(0.05)], ids=["gauss", "laplace"])
@pytest.mark.parametrize("name", NOTHING)
@pytest.mark.parametrize("method", RESTORERS)
def test_nothing_but_noise_is_known_in_every_wrapper(method, name, noise):
    expected = of_the_identity(method, noise)
    seen = restored(method, NOTHING[name](), noise)
    torch.testing.assert_close(seen.x, expected.x, rtol=0, atol=1e-5)
    assert seen.iterations == expected.iterations
    assert type(seen.state) is type(expected.state)  # the same algorithm


def test_a_wrapped_blur_is_the_blur():
    noise, blur = ud.Gaussian(0.02), ud.Blur(ud.gaussian_psf(1.0), "periodic")
    y = noise.sample(blur(picture()), torch.Generator().manual_seed(0))
    expected, seen = (
        ud.Variational(weight=10.0).restore(ud.Measurement(y, operator, noise))
        for operator in (blur, ud.Identity() @ blur @ ud.Identity())
    )
    assert torch.equal(seen.x, expected.x)
