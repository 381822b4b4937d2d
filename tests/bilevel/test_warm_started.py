"""Lower solves that begin where the last ones ended: the same iterates."""

import pytest
import torch

from tests.cases import BILEVEL, WARM_STARTED
from undegrade.bilevel.problem import Bilevel
from undegrade.core.objective import Objective
from undegrade.core.solver import advance
from undegrade.priors.tikhonov import Tikhonov

every = pytest.mark.parametrize("name", WARM_STARTED)


def learned() -> tuple[Objective[Bilevel, Tikhonov], torch.Tensor]:
    case = BILEVEL["kernel"] if "kernel" in BILEVEL else next(iter(BILEVEL.values()))
    return Objective(case.problem, Tikhonov(), 0.1), case.theta


@every
def test_iterates_are_those_of_the_solver_alone(name):
    method, (problem, theta) = WARM_STARTED[name], learned()
    warm = advance(method, problem, theta, 4)
    alone = advance(method.solver, problem, theta, 4)
    torch.testing.assert_close(warm.x, alone.x, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(warm.value, alone.value, rtol=1e-6, atol=1e-9)
    found = problem.fidelity.evaluate(warm.x, problem.fidelity.lower.start)
    torch.testing.assert_close(warm.lower, found.x, rtol=1e-4, atol=1e-6)
