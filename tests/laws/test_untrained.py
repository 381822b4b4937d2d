"""Laws of the solvers that draw their own start. A new one is covered by a case in tests/cases.py.

They have no closed form to come to; what they come to is in tests/solvers.
"""

import dataclasses
import math

import pytest
import torch
from torch import Tensor
from torch.utils import _pytree

from tests.cases import UNTRAINED, UntrainedCase
from undegrade.core.solver import Solver, solve
from undegrade.core.stopping import Status, until


@pytest.fixture(params=UNTRAINED.values(), ids=UNTRAINED.keys())
def case(request: pytest.FixtureRequest) -> UntrainedCase:
    return request.param


def leaves(state: object) -> list[Tensor]:
    found = _pytree.tree_leaves(state)
    assert all(isinstance(leaf, Tensor) for leaf in found)
    return found


def test_it_is_a_solver_whose_settings_are_frozen(case):
    assert isinstance(case.solver, Solver)
    for field in dataclasses.fields(case.solver):
        assert f"{field.name}=" in repr(case.solver)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(case.solver, field.name, 1)


def test_it_comes_closer_to_the_measurement(case):
    problem = case.problem()
    first, later = (
        solve(case.solver, problem, case.start(), stop=until(iterations=n)).x for n in (1, 60)
    )
    misfit = [(case.operator(x) - problem.y).square().flatten(1).sum(1) for x in (first, later)]
    assert (misfit[1] < 0.9 * misfit[0]).all()


def test_n_then_m_iterations_are_n_plus_m(case):
    problem, x0 = case.problem(), case.start()
    whole = solve(case.solver, problem, x0, stop=until(iterations=7))
    part = solve(case.solver, problem, x0, stop=until(iterations=4))
    rest = solve(case.solver, problem, start=part, stop=until(iterations=7))
    for a, b in zip(leaves(whole.state), leaves(rest.state), strict=True):
        assert torch.equal(a, b)


def test_a_batch_gives_what_its_members_give_alone(case):
    stop = until(iterations=9)
    together = solve(case.solver, case.problem(), case.start(), stop=stop)
    assert not torch.allclose(together.x[0], together.x[1])
    for i in range(2):
        rows = slice(i, i + 1)
        alone = solve(case.solver, case.problem(rows), case.start(rows), stop=stop)
        torch.testing.assert_close(alone.x, together.x[rows], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(
            alone.state.residual, together.state.residual[rows], rtol=1e-7, atol=0
        )


def test_the_same_call_gives_the_same_bits_and_draws_no_numbers(case):
    before = torch.get_rng_state()
    first, second = (
        solve(case.solver, case.problem(), case.start(), stop=until(iterations=5)) for _ in range(2)
    )
    assert torch.equal(first.x, second.x)
    assert torch.equal(before, torch.get_rng_state())


def test_what_is_not_finite_diverges_and_leaves_its_neighbor_alone(case):
    y = case.measured()
    broken = torch.stack((y[0], torch.full_like(y[1], math.nan)))
    stop = until(iterations=6)
    result = solve(case.solver, case.problem(y=broken), case.start(), stop=stop)
    assert result.status == (Status.EXHAUSTED, Status.DIVERGED)
    assert result.iterations[1] <= 2
    alone = solve(case.solver, case.problem(slice(0, 1)), case.start()[:1], stop=stop)
    torch.testing.assert_close(alone.x, result.x[:1], rtol=1e-9, atol=1e-9)


def test_arguments_and_settings_stay_as_they_were(case):
    problem, x0 = case.problem(), case.start()
    before, y = x0.clone(), problem.y.clone()
    own = [p.clone() for p in _parameters(case.solver)]
    solve(case.solver, problem, x0, stop=until(iterations=5))
    assert torch.equal(x0, before)
    assert torch.equal(problem.y, y)
    assert all(torch.equal(a, b) for a, b in zip(own, _parameters(case.solver), strict=True))


def test_float32_stays_float32_and_nothing_is_followed(case):
    problem = case.problem(y=case.measured().float()).to(torch.float32)
    result = solve(case.solver, problem, case.start().float(), stop=until(iterations=3))
    assert result.x.dtype == torch.float32
    for leaf in leaves(result.state):
        assert leaf.dtype in {torch.float32, torch.int64}
        assert not leaf.requires_grad


def test_a_start_nearby_is_a_better_start(case):
    """The network, or the factors, of the same problem after 60 iterations."""
    problem, x0 = case.problem(), case.start()
    near = solve(case.solver, problem, x0, stop=until(iterations=60)).state
    state = case.solver.step(problem, case.solver.init(problem, x0, near))
    fresh = case.solver.step(problem, case.solver.init(problem, x0))
    misfit = [(case.operator(s.x) - problem.y).square().sum() for s in (state, fresh)]
    assert misfit[0] < misfit[1]


def _parameters(solver: Solver) -> list[Tensor]:
    """Those of the network in the settings, however deep."""
    found = list[Tensor]()
    for field in dataclasses.fields(solver):
        value = getattr(solver, field.name)
        if isinstance(value, torch.nn.Module):
            found += value.parameters()
        elif dataclasses.is_dataclass(value):
            found += _parameters(value)
    return found
