"""Laws of solvers whose step has weights: they minimize nothing, but they are solvers."""

import copy
import math

import pytest
import torch

from tests.cases import LEARNED, uniform
from undegrade.core.objective import Fidelity
from undegrade.core.solver import Solver, solve
from undegrade.core.stopping import Status, until
from undegrade.learned.rim import RIM
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample
from undegrade.operators.identity import Identity
from undegrade.operators.mask import Mask

PSF = uniform(3, 5, seed=4) / uniform(3, 5, seed=4).sum()
OPERATORS = {
    "identity": Identity(),
    "mask": Mask(uniform(8, 6) > 0.4),
    "periodic": Blur(PSF, "periodic"),
    "valid": Blur(PSF, "valid"),
    "low resolution": Downsample(2) @ Blur(PSF, "replicate"),
}


@pytest.fixture(params=LEARNED.values(), ids=LEARNED.keys())
def rim(request: pytest.FixtureRequest) -> RIM:
    return request.param


@pytest.fixture(params=OPERATORS.values(), ids=OPERATORS.keys())
def problem(request: pytest.FixtureRequest) -> Fidelity:
    y = request.param(uniform(2, 3, 8, 6, seed=7))
    return Fidelity(request.param, Gaussian(torch.tensor([0.05, 0.2]).double()), y)


def start(problem: Fidelity):
    return problem.operator.initial(problem.y)


def test_it_is_a_solver(rim):
    assert isinstance(rim, Solver)


def test_n_then_m_iterations_are_n_plus_m(rim, problem):
    whole = solve(rim, problem, start(problem), stop=until(iterations=3))
    part = solve(rim, problem, start(problem), stop=until(iterations=2))
    rest = solve(rim, problem, start=part, stop=until(iterations=3))
    assert torch.equal(whole.x, rest.x)
    assert whole.status == (Status.EXHAUSTED,) * 2


def test_a_batch_gives_what_its_members_give_alone(rim, problem):
    together = solve(rim, problem, start(problem), stop=until(iterations=2)).x
    assert not torch.allclose(together, start(problem))  # or the law would be idle
    for i in range(2):
        std = problem.likelihood.std[i : i + 1]
        one = Fidelity(problem.operator, Gaussian(std), problem.y[i : i + 1])
        alone = solve(rim, one, start(one), stop=until(iterations=2)).x
        torch.testing.assert_close(alone, together[i : i + 1], rtol=1e-7, atol=1e-7)


def test_the_same_call_gives_the_same_bits_and_draws_no_numbers(rim, problem):
    before = torch.get_rng_state()
    first, second = (
        solve(rim, problem, start(problem), stop=until(iterations=2)).x for _ in range(2)
    )
    assert torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())


def test_what_is_not_finite_diverges_and_leaves_its_neighbor_alone(rim):
    y = uniform(2, 3, 8, 6, seed=7)
    y[1] = math.nan
    p = Fidelity(Identity(), Gaussian(0.1), y)
    result = solve(rim, p, p.y, stop=until(iterations=2))
    assert result.status == (Status.EXHAUSTED, Status.DIVERGED)
    assert result.x[0].isfinite().all()


def test_single_precision_is_near_double(rim, problem):
    x = solve(rim, problem, start(problem), stop=until(iterations=2)).x
    single, p = copy.deepcopy(rim).float(), copy.deepcopy(problem).float()
    y = solve(single, p, start(p), stop=until(iterations=2)).x
    assert y.dtype == torch.float32
    torch.testing.assert_close(y.double(), x, rtol=1e-3, atol=1e-3)
