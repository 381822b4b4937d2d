"""The closed form of super-resolution."""

import pytest
import torch

from tests.cases import uniform
from undegrade.degradations.flags import DegradationFlags
from undegrade.linear_algebra.conjugate_gradient import conjugate_gradient
from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample
from undegrade.operators.low_resolution import LowResolution


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_it_is_periodic_blur_and_decimation(factor):
    psf, x = uniform(5, 7), uniform(2, 3, 4 * factor + 4 * factor, 3 * factor + 9 * factor)
    A, B = LowResolution(psf, factor), Downsample(factor) @ Blur(psf, "periodic")
    assert torch.equal(A(x), B(x))
    assert torch.equal(A.initial(A(x)), B.initial(B(x)))


@pytest.mark.parametrize("factor", [2, 3])
def test_its_closed_form_is_what_conjugate_gradients_find(factor):
    A, b = LowResolution(uniform(5, 5) / 12, factor), uniform(2, 3, 12, 18)
    iterated = conjugate_gradient(
        lambda x: A.adjoint(A(x)) + 0.1 * x, b, tolerance=1e-9, iterations=500
    )
    torch.testing.assert_close(A.gram.solve(b, 0.1), iterated.x)


def test_a_periodic_low_resolution_degradation_has_it():
    words = DegradationFlags(blur="gaussian:1", boundary="periodic", downsample=2)
    assert words.build((3, 16, 20)).operator.gram is not None
    mirrored = DegradationFlags(blur="gaussian:1", boundary="reflect", downsample=2)
    assert mirrored.build((3, 16, 20)).operator.gram is None
