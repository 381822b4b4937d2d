"""The one loop, its stopping rule, and what it keeps of samples that stopped."""

import math
import time
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from undegrade.core.image import per_sample
from undegrade.core.solver import solve
from undegrade.core.stopping import State, Status, until


@dataclass(frozen=True)
class Halved:
    """x and a residual that is halved by every step, down to a floor."""

    x: Tensor
    residual: Tensor


@dataclass(frozen=True)
class Halving:
    floor: float = 0.0
    break_at: float = -1.0  # x of a sample whose residual comes to this becomes infinite

    def init(self, problem: Tensor, x0: Tensor, near: Halved | None = None) -> Halved:
        del near
        return Halved(x0, problem)

    def step(self, problem: Tensor, state: Halved) -> Halved:
        del problem
        residual = (state.residual / 2).clamp(min=self.floor)
        broken = (residual == self.break_at).reshape(-1, *(1,) * (state.x.ndim - 1))
        return replace(state, x=(state.x + 1).masked_fill(broken, math.inf), residual=residual)


X0 = torch.zeros(3, 1, 1, 1)
RESIDUALS = torch.tensor([1.0, 4.0, 64.0])


def test_every_sample_stops_when_its_own_residual_is_small():
    result = solve(Halving(), RESIDUALS, X0, stop=until(iterations=100, residual=0.5))
    assert result.status == (Status.CONVERGED,) * 3
    assert result.iterations == (1, 3, 7)
    assert result.x.flatten().tolist() == [1, 3, 7]  # kept as they were then
    assert result.state.x.flatten().tolist() == [7, 7, 7]


def test_a_sample_that_starts_below_the_tolerance_is_not_touched():
    result = solve(Halving(), RESIDUALS, X0, stop=until(iterations=100, residual=100.0))
    assert result.iterations == (0, 0, 0)
    assert torch.equal(result.x, X0)
    assert result.trace == ()


def test_the_budget_ends_it():
    result = solve(Halving(), RESIDUALS, X0, stop=until(iterations=2, residual=0.5))
    assert result.status == (Status.CONVERGED, Status.EXHAUSTED, Status.EXHAUSTED)
    assert result.iterations == (1, 2, 2)
    assert solve(Halving(), RESIDUALS, X0, stop=until(iterations=0)).iterations == (0, 0, 0)


def test_a_residual_that_no_longer_moves_is_called_stalled():
    result = solve(Halving(floor=1.0), RESIDUALS, X0, stop=until(iterations=100, residual=0.5))
    assert result.status == (Status.STALLED,) * 3
    assert result.iterations == (2, 4, 8)  # three looks in a row at the same number


def test_an_iterate_that_is_not_finite_is_called_diverged_and_the_last_finite_one_is_kept():
    solver = Halving(break_at=1.0)
    result = solve(solver, RESIDUALS, X0, stop=until(iterations=100, residual=0.01))
    assert result.status == (Status.CONVERGED, Status.DIVERGED, Status.DIVERGED)
    assert result.iterations == (7, 2, 6)
    assert result.x.flatten().tolist() == [7, 1, 5]
    assert result.state.x[1:].isinf().all()


def test_a_residual_that_is_no_number_is_called_diverged():
    residuals = torch.tensor([1.0, math.nan, 64.0])
    result = solve(Halving(), residuals, X0, stop=until(iterations=100, residual=0.5))
    assert result.status[1] is Status.DIVERGED
    assert result.iterations == (1, 0, 7)


@pytest.mark.parametrize(("every", "expected"), [(1, (1, 3, 7)), (2, (2, 4, 8)), (5, (5, 5, 10))])
def test_it_looks_only_every_so_often(every, expected):
    stop = until(iterations=100, residual=0.5, every=every)
    assert solve(Halving(), RESIDUALS, X0, stop=stop).iterations == expected


def test_a_stopping_rule_can_be_used_again():
    stop = until(iterations=100, residual=0.5)
    first, second = (solve(Halving(floor=1.0), RESIDUALS, X0, stop=stop) for _ in range(2))
    assert first.status == second.status
    assert first.iterations == second.iterations


def test_going_on_from_a_result_counts_on():
    part = solve(Halving(), RESIDUALS, X0, stop=until(iterations=2))
    rest = solve(Halving(), RESIDUALS, start=part, stop=until(iterations=100, residual=0.5))
    assert rest.iterations == (2, 3, 7)
    assert rest.x.flatten().tolist() == [2, 3, 7]
    assert rest.seconds > part.seconds
    assert [record.iteration for record in rest.trace] == [1, 2, 3, 4, 5, 6, 7]


def test_going_on_without_a_budget_left_gives_the_same_again():
    part = solve(Halving(break_at=1.0), RESIDUALS, X0, stop=until(iterations=4))
    rest = solve(Halving(break_at=1.0), RESIDUALS, start=part, stop=until(iterations=4))
    assert rest.status == part.status
    assert torch.equal(rest.x, part.x)
    assert rest.x.isfinite().all()  # what was kept, not what the state of a diverged sample is


@pytest.mark.parametrize("shape", [(5,), (2, 3), (1, 2, 3, 4)], ids=str)
def test_the_variable_is_any_tensor_per_sample(shape):
    x0 = torch.zeros(3, *shape)
    result = solve(Halving(), RESIDUALS, x0, stop=until(iterations=100, residual=0.5))
    assert result.iterations == (1, 3, 7)  # the first two stop earlier
    assert result.x.shape == x0.shape
    assert torch.equal(result.x, x0 + per_sample(torch.tensor([1.0, 3.0, 7.0]), x0))


def test_the_trace_has_what_observers_saw():
    def twice(iteration: int, state: State) -> dict[str, Tensor]:
        return {"twice": 2 * state.residual + 0 * iteration}

    stop = until(iterations=100, residual=0.5, every=2)
    result = solve(Halving(), RESIDUALS, X0, stop=stop, observe=[twice])
    assert [record.iteration for record in result.trace] == list(range(1, 9))
    for record in result.trace:
        assert torch.equal(record.values["twice"], 2 * RESIDUALS / 2**record.iteration)
        assert ("residual" in record.values) == (record.iteration % 2 == 0)
    seconds = [record.seconds for record in result.trace]
    assert seconds == sorted(seconds)
    assert result.seconds >= seconds[-1]


def test_observers_cost_no_time():
    def slow(iteration: int, state: State) -> dict[str, Tensor]:
        time.sleep(0.2)
        return {"iteration": 0 * state.residual + iteration}

    result = solve(Halving(), RESIDUALS, X0, stop=until(iterations=2), observe=[slow])
    assert result.seconds < 0.1
    assert result.trace[-1].seconds < 0.1


def test_bad_calls_say_what_was_expected():
    with pytest.raises(ValueError, match="x0, or an earlier result"):
        solve(Halving(), RESIDUALS, stop=until(iterations=1))
