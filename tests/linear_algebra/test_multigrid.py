"""One cycle over grids against the dense matrix that it nearly inverts."""

import pytest
import torch
from torch import Tensor

from tests.cases import uniform
from undegrade.linear_algebra.multigrid import shifted_laplacian
from undegrade.priors.finite_difference import FiniteDifference


def dense(linear, shape: tuple[int, int]) -> Tensor:
    """The matrix of a map of single pictures of one channel."""
    n = shape[0] * shape[1]
    units = torch.eye(n, dtype=torch.float64).reshape(n, 1, 1, *shape)
    return torch.stack([linear(unit[None, 0]).flatten() for unit in units], 1)


def spread(shift: Tensor, weight: Tensor) -> tuple[float, float]:
    """Condition of the matrix preconditioned by its cycle, and by its diagonal."""
    shape = shift.shape[-2], shift.shape[-1]
    gradient = FiniteDifference()
    matrix = dense(lambda v: shift * v + gradient.adjoint(weight * gradient(v)), shape)
    cycle = dense(shifted_laplacian(shift, weight), shape)
    torch.testing.assert_close(cycle, cycle.mT)
    root = torch.linalg.cholesky(cycle)  # fails where it is not positive
    found = torch.linalg.eigvalsh(root.mT @ matrix @ root)
    jacobi = matrix.diagonal().rsqrt()
    plain = torch.linalg.eigvalsh(jacobi[:, None] * matrix * jacobi)
    return float(found[-1] / found[0]), float(plain[-1] / plain[0])


@pytest.mark.parametrize("shape", [(24, 24), (19, 22), (1, 40), (9, 1)])
def test_smooth_weights_leave_little(shape):
    shift = torch.full((1, 1, *shape), 0.05, dtype=torch.float64)
    weight = torch.ones(1, 1, 1, *shape, dtype=torch.float64)
    cycle, plain = spread(shift, weight)
    assert cycle < 4
    assert plain > 10 * cycle or max(shape) < 10


def test_regions_of_high_contrast_and_a_shift_of_its_own_for_every_pixel():
    weight = torch.full((1, 1, 2, 24, 24), 250.0, dtype=torch.float64)
    weight[..., 9, :] = 3.0
    weight[..., :, 14] = 5.0
    shift = 5 + 20 * uniform(1, 1, 24, 24)
    cycle, plain = spread(shift, weight)
    assert cycle < 6
    assert plain > 5 * cycle


def test_channels_and_samples_share_weights_and_nothing_else():
    weight, r = uniform(2, 1, 1, 9, 12), uniform(2, 3, 9, 12, seed=2)
    shift = 0.1 + uniform(2, 3, 9, 12, seed=1)
    whole = shifted_laplacian(shift, weight)(r)
    for i in range(2):
        for j in range(3):
            one = shifted_laplacian(shift[i : i + 1, j : j + 1], weight[i : i + 1])
            torch.testing.assert_close(one(r[i : i + 1, j : j + 1]), whole[i : i + 1, j : j + 1])
