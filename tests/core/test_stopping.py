"""Stopping rules: what they remember, what they keep, and how they combine."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.core.test_solver import RESIDUALS, X0, Halving
from undegrade.core.solver import advance, solve
from undegrade.core.stopping import State, Status, Stop, Until, any_of, until
from undegrade.untrained.patience import Patience

NEVER = until(iterations=10**6)


def about(best: Tensor) -> Callable[[int, State], Tensor]:
    """A score that falls until x = best and rises from there; x counts the iterations."""
    return lambda _, state: (state.x.flatten(1)[:, 0] - best).abs()


RULES: dict[str, Stop[Any]] = {
    "until": until(iterations=100, residual=0.5),
    "patience": Patience(about(torch.tensor([2.0, 5.0, 3.0])), 4),
    "any of": any_of(until(iterations=4), Patience(about(torch.tensor([2.0, 5.0, 3.0])), 3)),
}


@pytest.fixture(params=RULES.values(), ids=RULES.keys())
def rule(request: pytest.FixtureRequest) -> Stop[Any]:
    return request.param


def test_rules_are_frozen_settings(rule):
    for field in dataclasses.fields(rule):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(rule, field.name, 1)


def test_interleaved_solves_that_share_a_rule_do_not_disturb_each_other(rule):
    """Two iterations that stall at different times: each is judged by its own past."""
    problems = [RESIDUALS, RESIDUALS.flip(0)]
    alone = [solve(Halving(floor=1.0), p, X0, stop=rule) for p in problems]
    states = [advance(Halving(floor=1.0), p, X0, 0) for p in problems]
    memories, seen = [rule.begin(state) for state in states], [{}, {}]
    for iteration in range(20):
        for k, problem in enumerate(problems):
            verdict, memories[k] = rule.look(iteration, states[k], memories[k])
            for i, status in enumerate(verdict.statuses):
                if status is not None:
                    seen[k].setdefault(i, (status, iteration))
            states[k] = Halving(floor=1.0).step(problem, states[k])
    for found, result in zip(seen, alone, strict=True):
        expected = dict(enumerate(zip(result.status, result.iterations, strict=True)))
        assert found == expected


def test_every_sample_has_its_own_tolerance():
    stop = until(iterations=100, residual=torch.tensor([0.5, 2.0, 8.0]))
    result = solve(Halving(), RESIDUALS, X0, stop=stop)
    assert result.iterations == (1, 1, 3)


def test_patience_keeps_the_iterate_with_the_best_score():
    stop = Patience(about(torch.tensor([2.0, 0.0, 5.0])), 3)
    result = solve(Halving(), RESIDUALS, X0, stop=stop)
    assert result.status == (Status.OUTWAITED,) * 3
    assert result.iterations == (5, 3, 8)
    assert result.x.flatten().tolist() == [2, 0, 5]


def test_a_score_that_is_no_number_is_never_the_best():
    def score(iteration: int, state: State) -> Tensor:
        return torch.full_like(state.residual, math.nan if iteration > 1 else -iteration)

    result = solve(Halving(), RESIDUALS, X0, stop=Patience(score, 2))
    assert result.x.flatten().tolist() == [1, 1, 1]
    assert result.iterations == (3, 3, 3)


def test_of_several_rules_the_first_to_speak_stops_and_all_must_want_to_keep():
    patience = Patience(about(torch.tensor([2.0, 6.0, 2.0])), 3)
    result = solve(Halving(), RESIDUALS, X0, stop=any_of(until(iterations=4), patience))
    assert result.status == (Status.EXHAUSTED,) * 3
    assert result.x.flatten().tolist() == [2, 4, 2]
    result = solve(Halving(), RESIDUALS, X0, stop=any_of(NEVER, patience))
    assert result.status == (Status.OUTWAITED,) * 3
    assert result.iterations == (5, 9, 5)


def test_a_rule_that_does_not_look_has_no_say():
    patience = Patience(about(torch.tensor([3.0, 3.0, 3.0])), 4)
    stop = any_of(until(iterations=100, every=50), patience)
    result = solve(Halving(), RESIDUALS, X0, stop=stop)
    assert result.x.flatten().tolist() == [3, 3, 3]
    assert result.iterations == (7, 7, 7)


def test_a_diverged_sample_keeps_its_best_finite_iterate():
    stop = any_of(until(iterations=100), Patience(about(torch.tensor([3.0, 1.0, 9.0])), 50))
    result = solve(Halving(break_at=0.5), RESIDUALS, X0, stop=stop)
    assert result.status == (Status.DIVERGED,) * 3
    assert result.x.flatten().tolist() == [0, 1, 6]


def test_bad_settings_say_what_was_expected():
    with pytest.raises(ValueError, match="got -1 and 1"):
        Until(iterations=-1)
    with pytest.raises(ValueError, match="got 1 and 0"):
        Until(iterations=1, every=0)
    with pytest.raises(ValueError, match="1 iteration or more, got 0"):
        Patience(about(RESIDUALS), 0)
