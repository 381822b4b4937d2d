"""Blur against scipy, between its own routes, and in its kernel."""

import copy
import pickle
import subprocess
import sys

import pytest
import scipy.ndimage
import scipy.signal
import torch
from torch import nn

from tests.cases import uniform
from undegrade.core.image import dot
from undegrade.operators import blur
from undegrade.operators.blur import Blur
from undegrade.operators.convolution import convolve, convolve_adjoint

BOUNDARIES = ("periodic", "replicate", "reflect", "symmetric", "zero", "valid")
SCIPY = {
    "periodic": "wrap",
    "replicate": "nearest",
    "reflect": "mirror",
    "symmetric": "reflect",
    "zero": "constant",
}


@pytest.mark.parametrize("size", [(12, 13), (15, 16), (7, 29)])
@pytest.mark.parametrize("kernel", [(3, 5), (7, 7), (1, 5), (1, 1)])
@pytest.mark.parametrize("boundary", SCIPY)
def test_it_is_the_convolution_of_scipy(boundary, kernel, size):
    x, psf = uniform(1, 1, *size), uniform(*kernel, seed=1)
    expected = scipy.ndimage.convolve(x[0, 0].numpy(), psf.numpy(), mode=SCIPY[boundary])
    torch.testing.assert_close(Blur(psf, boundary)(x)[0, 0].numpy(), expected)


def test_valid_is_the_valid_convolution_of_scipy():
    x, psf = uniform(1, 1, 14, 11), uniform(5, 3, seed=1)
    expected = scipy.signal.convolve2d(x[0, 0].numpy(), psf.numpy(), mode="valid")
    torch.testing.assert_close(Blur(psf, "valid")(x)[0, 0].numpy(), expected)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shape", [(5, 5), (3, 3, 5), (2, 1, 5, 3), (2, 3, 1, 5)])
def test_sums_and_transforms_agree(boundary, shape, monkeypatch):
    x = uniform(2, 3, 12, 13).float()
    A = Blur(uniform(*shape, seed=1).float(), boundary)
    y = A(x)  # float32, color, small: by sums
    back = A.adjoint(y)
    monkeypatch.setattr(blur, "_DIRECT_ENTRIES", 0)
    torch.testing.assert_close(A(x), y, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(A.adjoint(y), back, rtol=1e-5, atol=1e-4)


def test_the_sums_are_sums():
    x, psf = uniform(2, 3, 6, 7), uniform(2, 3, 3, 5, seed=1)
    y = convolve(x, psf)
    assert y.shape == (2, 3, 4, 3)
    naive = sum(psf[..., i, j, None, None] * x[..., 2 - i : 6 - i, 4 - j : 7 - j]
                for i in range(3) for j in range(5))  # fmt: skip
    torch.testing.assert_close(y, naive)
    v = uniform(*y.shape, seed=2)
    torch.testing.assert_close(dot(y, v), dot(x, convolve_adjoint(v, psf)))


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shape", [(3, 1), (2, 3, 3, 3)])
def test_it_is_differentiable_in_its_kernel(boundary, shape):
    x = uniform(2, 3, 5, 4)
    y = uniform(*Blur(uniform(*shape), boundary)(x).shape)
    psf = uniform(*shape, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda k: Blur(k, boundary)(x), psf)
    assert torch.autograd.gradcheck(lambda k: Blur(k, boundary).adjoint(y), psf)


def test_a_parameter_is_the_operators_own():
    A = Blur(nn.Parameter(uniform(3, 3)))
    assert [p.shape for p in A.parameters()] == [(3, 3)]
    A(uniform(1, 1, 5, 5)).sum().backward()
    assert A.psf.grad is not None


def test_a_periodic_blur_is_inverted_in_closed_form():
    A, b = Blur(uniform(5, 5), "periodic"), uniform(2, 3, 11, 12)
    x = A.gram.solve(b, 0.3)
    torch.testing.assert_close(A.adjoint(A(x)) + 0.3 * x, b)


def test_a_changed_kernel_is_noticed():
    A, x = Blur(uniform(7, 7)), uniform(1, 1, 12, 13)
    y = A(x)
    A.psf.mul_(2)
    torch.testing.assert_close(A(x), 2 * y)
    A.psf = A.psf / 4
    torch.testing.assert_close(A(x), y / 2)
    torch.testing.assert_close(A.to(torch.float32)(x.float()), (y / 2).float())


def test_the_transform_of_the_kernel_is_computed_once_per_size(monkeypatch):
    calls = []
    original = blur.transfer_function
    monkeypatch.setattr(blur, "transfer_function", lambda *a: calls.append(a[1]) or original(*a))
    A = Blur(uniform(7, 7))
    for _ in range(3):
        A(uniform(1, 1, 12, 13)), A.adjoint(uniform(2, 1, 12, 13))
        A(uniform(1, 1, 20, 20))
    assert len(calls) == 2


def test_a_kernel_that_is_learned_is_never_remembered():
    A, x = Blur(nn.Parameter(uniform(7, 7))), uniform(1, 1, 12, 13)
    before = A(x)
    A.psf.data = 2 * A.psf.data
    torch.testing.assert_close(A(x), 2 * before)
    gradient = torch.func.grad(
        lambda k: torch.func.functional_call(A, {"psf": k}, (x,)).square().sum()
    )
    torch.testing.assert_close(gradient(A.psf.detach() * 2), 2 * gradient(A.psf.detach()))


def test_what_inference_mode_left_behind_can_be_differentiated():
    A, x = Blur(uniform(7, 7)), uniform(1, 1, 12, 13)
    with torch.inference_mode():
        A(x)
    x.requires_grad_()
    A(x).sum().backward()
    torch.testing.assert_close(x.grad, A.adjoint(torch.ones_like(x)))


def test_copies_carry_no_derived_data():
    A, x = Blur(uniform(7, 7)), uniform(1, 1, 12, 13)
    fresh = len(pickle.dumps(A))
    y = A(x)
    assert len(pickle.dumps(A)) == fresh
    assert torch.equal(pickle.loads(pickle.dumps(A))(x), y)
    assert torch.equal(copy.deepcopy(A)(x), y)
    assert list(A.state_dict()) == ["psf"]


@pytest.mark.parametrize("shape", [(4, 5), (5, 2), (0, 3), (5,), (1, 1, 1, 3, 3)])
def test_a_kernel_without_a_middle_is_refused(shape):
    with pytest.raises(ValueError, match="a kernel has"):
        Blur(torch.ones(shape))


def test_an_unknown_boundary_is_refused():
    with pytest.raises((ValueError, TypeError), match="boundary"):  # the type checker is first
        Blur(torch.ones(3, 3), "wrap")


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_an_image_smaller_than_the_kernel_is_refused(boundary):
    with pytest.raises(ValueError, match="5×5 is larger than the image of 5×4"):
        Blur(torch.ones(5, 5), boundary)(torch.ones(1, 1, 5, 4))


@pytest.mark.slow
def test_it_compiles_in_one_piece():
    """In a process of its own: the type checker of the tests cannot be compiled."""
    script = """
import torch
from undegrade.operators.blur import Blur
A, x = Blur(torch.rand(7, 7)), torch.rand(1, 3, 12, 13)
compiled = torch.compile(A, backend="eager", fullgraph=True)
for _ in range(2):
    torch.testing.assert_close(compiled(x), A(x))
"""
    subprocess.run([sys.executable, "-c", script], check=True)
