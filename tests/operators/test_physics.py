"""Objects of other libraries as operators."""

import torch
from torch import nn

from tests.cases import Doubled, Squares, uniform
from undegrade.operators.dense import Dense
from undegrade.operators.function import Function
from undegrade.operators.physics import LinearPhysics, Physics, from_physics


def test_an_adjoint_makes_it_linear():
    assert isinstance(from_physics(Doubled()), LinearPhysics)
    assert isinstance(from_physics(Squares()), Physics)


def test_derivatives_of_a_physics_without_adjoint_are_automatic():
    A, x, u = from_physics(Squares()), uniform(1, 1, 4, 5), uniform(1, 1, 4, 5, seed=1)
    torch.testing.assert_close(A.jvp(x, u), (2 * x + 1) * u)
    torch.testing.assert_close(A.vjp(x, u), (2 * x + 1) * u)


def test_the_parameters_of_a_module_are_the_operators():
    network = nn.Conv2d(3, 3, 3, padding=1)
    assert len(list(Function(network).parameters())) == 2


def test_a_function_starts_where_it_is_told():
    y = uniform(1, 1, 4, 4)
    assert torch.equal(Function(torch.exp).initial(y), y)
    assert torch.equal(Function(torch.exp, start=torch.log).initial(y), y.log())


def test_a_linear_start_is_the_best_along_the_gradient():
    A = Dense(uniform(6, 5) - 0.3)
    y = uniform(2, 1, 1, 6, seed=1)
    start = A.initial(y)
    misfit = (A(start) - y).square().sum((1, 2, 3))
    for scale in (0.9, 1.1):
        assert (misfit < (A(scale * start) - y).square().sum((1, 2, 3))).all()
