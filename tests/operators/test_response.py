"""What a camera's curve adds to the laws of operators."""

import subprocess
import sys

import pytest
import torch

from tests.cases import uniform
from undegrade.operators import response
from undegrade.operators.response import Response
from undegrade.operators.response_curves import Gamma


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("strip", [1, 20, 10**6])
def test_strips_give_the_slope_of_the_whole(monkeypatch, strip, recorded):
    monkeypatch.setattr(response, "_STRIP", strip)
    x = uniform(2, 3, 7, 5)
    with torch.set_grad_enabled(recorded):
        value, jacobian = Response(Gamma(2.2)).linearize(x)
    torch.testing.assert_close(value, x ** (1 / 2.2))
    torch.testing.assert_close(jacobian(torch.ones_like(x)), x ** (1 / 2.2 - 1) / 2.2)


def test_a_slope_that_nobody_differentiates_loads_no_compiler() -> None:
    call = (
        "import sys, torch, undegrade as ud; torch.set_grad_enabled(False); "
        "ud.Response(ud.SRGB()).linearize(torch.rand(1, 3, 4, 4)); "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", call], check=False).returncode == 0
