"""What a camera's curve adds to the laws of operators."""

import pytest
import torch

from tests.cases import uniform
from undegrade.operators import response
from undegrade.operators.response import Response
from undegrade.operators.response_curves import Gamma


@pytest.mark.parametrize("strip", [1, 20, 10**6])
def test_strips_give_the_slope_of_the_whole(monkeypatch, strip):
    monkeypatch.setattr(response, "_STRIP", strip)
    x = uniform(2, 3, 7, 5)
    value, jacobian = Response(Gamma(2.2)).linearize(x)
    torch.testing.assert_close(value, x ** (1 / 2.2))
    torch.testing.assert_close(jacobian(torch.ones_like(x)), x ** (1 / 2.2 - 1) / 2.2)
