"""Laws of every operator. A new one is covered once it is in tests/cases.py."""

import copy

import pytest
import torch
from torch import Tensor

from tests.cases import OPERATORS, OperatorCase, uniform
from undegrade.core.image import dot, norm, per_sample
from undegrade.core.operator import LinearOperator, Operator
from undegrade.linear_algebra.power_iteration import squared_norm
from undegrade.operators.function import Function
from undegrade.operators.identity import Identity

LINEAR = {n: c for n, c in OPERATORS.items() if isinstance(c.operator, LinearOperator)}

KNOWN = {n: c for n, c in OPERATORS.items() if c.operator.gram is not None}


@pytest.fixture(params=OPERATORS.values(), ids=OPERATORS.keys())
def case(request: pytest.FixtureRequest) -> OperatorCase:
    return request.param


@pytest.fixture(params=LINEAR.values(), ids=LINEAR.keys())
def linear(request: pytest.FixtureRequest) -> OperatorCase:
    return request.param


@pytest.fixture(params=KNOWN.values(), ids=KNOWN.keys())
def known(request: pytest.FixtureRequest) -> OperatorCase:
    return request.param


def measurement(case: OperatorCase, seed: int = 7) -> Tensor:
    """Random numbers in the shape of a measurement."""
    return uniform(*case.operator(case.image()).shape, seed=seed) - 0.5


def test_linear_operators_are_linear(linear):
    A, x, u = linear.operator, linear.image(1), linear.image(2)
    torch.testing.assert_close(A(2 * x - 3 * u), 2 * A(x) - 3 * A(u))


def test_adjoint_is_the_transpose(linear):
    A, x, y = linear.operator, linear.image(), measurement(linear)
    torch.testing.assert_close(dot(A(x), y), dot(x, A.adjoint(y)))


def test_adjoint_agrees_with_autograd(linear):
    A, x, y = linear.operator, linear.image(), measurement(linear)
    torch.testing.assert_close(A.adjoint(y), torch.func.vjp(A, x)[1](y)[0])


def test_a_linear_operator_is_its_own_jacobian(linear):
    A, x = linear.operator, linear.image()
    value, jacobian = A.linearize(x)
    assert jacobian is A
    assert torch.equal(value, A(x))


def test_the_jacobian_is_the_directional_derivative(case):
    A, x = case.operator, case.image(1)
    value, jacobian = A.linearize(x)
    torch.testing.assert_close(value, A(x))
    for seed in (2, 3):  # a product leaves the next one as it would have been
        u, step = case.image(seed), 1e-6
        slope = (A(x + step * u) - A(x - step * u)) / (2 * step)
        torch.testing.assert_close(jacobian(u), slope, rtol=1e-7, atol=1e-7)


def test_the_jacobian_has_its_transpose(case):
    A, u, v = case.operator, case.image(2), measurement(case)
    jacobian = A.linearize(case.image(1))[1]
    for _ in range(2):
        torch.testing.assert_close(dot(jacobian(u), v), dot(u, jacobian.adjoint(v)))


def test_the_jacobian_is_linear_and_has_a_first_estimate(case):
    jacobian, u, v = case.operator.linearize(case.image(1))[1], case.image(2), case.image(3)
    torch.testing.assert_close(jacobian(2 * u - 3 * v), 2 * jacobian(u) - 3 * jacobian(v))
    assert jacobian.initial(jacobian(u)).shape == u.shape


def test_the_way_back_and_forth_is_one_after_the_other(case):
    A, v = case.operator.linearize(case.image(1))[1], measurement(case)
    torch.testing.assert_close(A.forward_adjoint(v), A(A.adjoint(v)))


def test_the_jacobian_never_evaluates_the_operator_again():
    calls = []

    def call(x: Tensor) -> Tensor:
        calls.append(1)
        return x**2

    jacobian = Function(call).linearize(uniform(2, 1, 3, 4))[1]
    for _ in range(3):
        jacobian.adjoint(jacobian(uniform(2, 1, 3, 4, seed=1)))
    assert len(calls) == 1


def test_products_with_the_jacobian_can_be_differentiated(case):
    A, x, u = case.operator, case.image(1), case.image(2)

    def products(x: Tensor, u: Tensor) -> Tensor:
        jacobian = A.linearize(x)[1]
        return jacobian.adjoint(jacobian(u).sin())

    inputs = x.requires_grad_(), u.requires_grad_()
    assert torch.autograd.gradcheck(products, inputs, fast_mode=True)


def test_forward_mode_reaches_through(case):
    A, x, u = case.operator, case.image(1), case.image(2)
    torch.testing.assert_close(torch.func.jvp(A, (x,), (u,))[1], A.linearize(x)[1](u))


def test_one_image_never_depends_on_its_neighbors(case):
    A, x = case.operator, case.image()
    y, v = A(x), measurement(case)
    for i in range(len(x)):
        alone, one = _member(A, i, len(x)), x[i : i + 1]
        torch.testing.assert_close(alone(one)[0], y[i])
        pulled = alone.linearize(one)[1].adjoint(v[i : i + 1])
        torch.testing.assert_close(pulled[0], A.linearize(x)[1].adjoint(v)[i])
        torch.testing.assert_close(alone.initial(v[i : i + 1])[0], A.initial(v)[i])


def test_the_gram_solves_its_systems(known):
    A, b = known.operator, known.image()
    for shift in (0.1, torch.tensor([0.5, 0.02], dtype=b.dtype)):
        x = A.gram.solve(b, shift)
        torch.testing.assert_close(A.adjoint(A(x)) + per_sample(shift, x) * x, b)


def test_the_gram_bounds_its_eigenvalues(known):
    """Power iteration on AᵀA, and on what is left to the largest of them."""
    A, x = known.operator, known.image()
    least, largest = A.gram.least(x), A.gram.largest(x)
    assert least.shape == largest.shape == (len(x),)

    def normal(u: Tensor) -> Tensor:
        return A.adjoint(A(u))

    top = squared_norm(normal, x.shape, x, 3000)
    torch.testing.assert_close(top, largest, rtol=1e-3, atol=0)
    gap = squared_norm(lambda u: per_sample(largest, u) * u - normal(u), x.shape, x, 3000)
    assert (least <= largest - gap + 1e-9).all()


def test_the_spectrum_of_a_gram_is_that_of_a_convolution(known):
    A, x = known.operator, known.image()
    spectrum = A.gram.spectrum(x)
    if spectrum is not None:
        convolved = torch.fft.irfft2(torch.fft.rfft2(x) * spectrum, s=x.shape[-2:])
        torch.testing.assert_close(convolved, A.adjoint(A(x)))


def test_beside_the_identity_an_operator_stays_itself(case):
    A, one = case.operator, Identity()
    assert A @ one in (A, one)
    assert one @ A in (A, one)


def test_first_estimate_has_the_shape_of_the_image(case):
    start = case.operator.initial(measurement(case))
    assert start.shape == case.image().shape
    assert start.isfinite().all()


def test_first_estimate_explains_the_measurement_better_than_nothing(case):
    A, y = case.operator, case.operator(case.image())
    assert (norm(A(A.initial(y)) - y) < norm(A(torch.zeros_like(case.image())) - y) + 1e-12).all()


def test_everything_follows_the_dtype_of_its_input(case):
    A, x = case.operator, case.image()
    y = A(x.float())
    assert y.dtype == torch.float32
    torch.testing.assert_close(y.double(), A(x), rtol=1e-4, atol=1e-5)
    assert A.linearize(x.float())[1].adjoint(y).dtype == torch.float32
    assert A.initial(y).dtype == torch.float32


def test_moved_to_single_precision_it_is_the_same_operator(case):
    A, x = copy.deepcopy(case.operator).to(torch.float32), case.image()
    torch.testing.assert_close(A(x.float()).double(), case.operator(x), rtol=1e-4, atol=1e-5)


def test_a_copy_and_a_reloaded_one_do_the_same(case):
    A, x = case.operator, case.image()
    y = A(x)
    twin = copy.deepcopy(A)
    twin.load_state_dict(A.state_dict())
    assert torch.equal(twin(x), y)


def test_arguments_stay_as_they_were(case):
    A, x, v = case.operator, case.image(), measurement(case)
    before = x.clone(), v.clone()
    jacobian = A.linearize(x)[1]
    A(x), jacobian.adjoint(v), jacobian(x), A.initial(v)
    assert torch.equal(x, before[0])
    assert torch.equal(v, before[1])


def test_nothing_is_remembered_that_changes_a_result(case):
    """Calls under other circumstances in between leave the result bit for bit as it was."""
    A, x, v = case.operator, case.image(), measurement(case)
    before = A(x), A.linearize(x)[1].adjoint(v)
    with torch.inference_mode():
        A(x.clone()), A.linearize(x.clone())[1].adjoint(v.clone())
    torch.func.vmap(lambda u: A(u))(x[None])
    A(x.float())
    torch.func.grad(lambda u: A(u).sum())(x)
    assert torch.equal(A(x), before[0])
    assert torch.equal(A.linearize(x)[1].adjoint(v), before[1])


def _member(A: Operator, i: int, batch: int) -> Operator:
    """The same operator for one image of the batch: parameters per image are cut to its own."""
    one = copy.deepcopy(A)
    for module in one.modules():
        for name, value in list(module.named_buffers(recurse=False)):
            if value.ndim == 4 and len(value) == batch:
                module.register_buffer(name, value[i : i + 1])
    return one
