"""Objects of other libraries as operators."""

import torch
from torch import Tensor, nn

from tests.cases import Doubled, Squares, uniform
from undegrade.operators.dense import Dense
from undegrade.operators.function import Function
from undegrade.operators.physics import LinearPhysics, from_physics


def test_an_adjoint_makes_it_linear():
    assert isinstance(from_physics(Doubled()), LinearPhysics)
    assert isinstance(from_physics(Squares()), Function)


def test_derivatives_of_a_physics_without_adjoint_are_automatic():
    A, x, u = from_physics(Squares()), uniform(1, 1, 4, 5), uniform(1, 1, 4, 5, seed=1)
    jacobian = A.linearize(x)[1]
    torch.testing.assert_close(jacobian(u), (2 * x + 1) * u)
    torch.testing.assert_close(jacobian.adjoint(u), (2 * x + 1) * u)


def test_a_physics_that_is_a_module_belongs_to_its_operator():
    class Gain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("gain", torch.tensor([2.0]))

        def A(self, x: Tensor) -> Tensor:
            return self.gain * x**2

    A = from_physics(Gain()).to(torch.float64)
    assert A(torch.ones(1, 1, 2, 2)).dtype == torch.float64


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
