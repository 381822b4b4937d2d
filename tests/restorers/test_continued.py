"""A long solve that is interrupted and continued."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import undegrade as ud
from undegrade.restorers import continued

RAMP = torch.linspace(0, 1, 72).reshape(1, 1, 9, 8)  # takes every iteration that there is
Y = torch.rand(1, 1, 9, 8, generator=torch.Generator().manual_seed(0))


def method(
    path: Path | None, iterations: int = 12, delay: float = 5.0
) -> ud.RobustUntrainedNetwork:
    return ud.RobustUntrainedNetwork(
        start="noise", widths=(3, 4), iterations=iterations, delay=delay, checkpoint=path
    )


def measured(y: torch.Tensor = Y) -> ud.Measurement:
    return ud.Measurement(y, ud.Identity(), ud.Gaussian(0.1))


def interrupting(at: int):
    def observe(iteration: int, state: ud.State) -> dict[str, torch.Tensor]:
        del state
        if iteration == at:
            raise KeyboardInterrupt
        return {}

    return (observe,)


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path):
    path = tmp_path / "run.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        method(path).restore(measured(), observe=interrupting(7))
    rest = method(path).restore(measured())
    whole = method(None).restore(measured())
    assert len(rest.trace) == 12
    for name, value in whole.trace[3].values.items():
        torch.testing.assert_close(rest.trace[3].values[name], value)
    assert rest.iterations == whole.iterations == (12,)
    assert torch.equal(rest.x, whole.x)
    assert torch.equal(rest.state.inner.parameters, whole.state.inner.parameters)


def test_a_kill_costs_the_time_since_the_last_file(tmp_path, monkeypatch):
    """Every iteration is written here; after a kill in the third, the second is there."""
    monkeypatch.setattr(continued, "_SECONDS", 0.0)
    path, left = tmp_path / "run.checkpoint", []

    def observe(iteration: int, state: ud.State) -> dict[str, torch.Tensor]:
        del iteration, state
        left.append(path.read_bytes() if path.exists() else b"")
        return {}

    method(path, iterations=3).restore(measured(), observe=(observe,))
    monkeypatch.undo()
    path.write_bytes(left[2])
    rest = method(path, iterations=3).restore(measured())
    assert torch.equal(rest.x, method(None, iterations=3).restore(measured()).x)
    assert len(rest.trace) == 3


def test_a_rule_remembers_and_its_iterate_stays_kept(tmp_path):
    """Interrupted after the least variance, before the patience ends: the same picture is kept."""
    path, y = tmp_path / "run.checkpoint", torch.rand(1, 3, 16, 16)
    fit = ud.UntrainedNetwork(widths=(4, 4), iterations=400, patience=20, window=5)
    whole = fit.restore(measured(y))
    assert whole.status == (ud.Status.OUTWAITED,)
    with pytest.raises(KeyboardInterrupt):
        replace(fit, checkpoint=path).restore(
            measured(y), observe=interrupting(whole.iterations[0] - 10)
        )
    rest = replace(fit, checkpoint=path).restore(measured(y))
    assert rest.iterations == whole.iterations
    assert torch.equal(rest.x, whole.x)
    assert torch.equal(replace(fit, checkpoint=path).restore(measured(y)).x, whole.x)


def test_a_file_of_another_picture_or_other_settings_is_refused(tmp_path):
    path = tmp_path / "run.checkpoint"
    method(path, iterations=2).restore(measured())
    before = path.read_bytes()
    with pytest.raises(ValueError, match="another checkpoint than expected"):
        method(path).restore(measured(Y + 0.01))
    with pytest.raises(ValueError, match="another checkpoint than expected"):
        method(path, delay=6.0).restore(measured())
    assert path.read_bytes() == before


def test_more_iterations_go_on_where_fewer_ended(tmp_path):
    path = tmp_path / "run.checkpoint"
    method(path, iterations=5).restore(measured())
    more = method(path, iterations=8).restore(measured())
    assert torch.equal(more.x, method(None, iterations=8).restore(measured()).x)


@pytest.mark.parametrize("at", [5, 11])
def test_two_fits_go_on_to_the_same_bits_from_either(tmp_path: Path, at: int) -> None:
    """Interrupted in the fit that is judged, which has 9 iterations, and in that of all entries."""
    path = tmp_path / "run.checkpoint"
    prior = ud.UntrainedNetwork(widths=(3, 4), iterations=9, checkpoint=path)
    with pytest.raises(KeyboardInterrupt):
        prior.restore(measured(RAMP), observe=interrupting(at))
    assert (tmp_path / "run.checkpoint.whole").exists() == (at > 9)
    rest = prior.restore(measured(RAMP))
    whole = replace(prior, checkpoint=None).restore(measured(RAMP))
    assert torch.equal(rest.x, whole.x)
    assert rest.iterations == whole.iterations
    assert [r.iteration for r in rest.trace] == [*range(1, 1 + max(whole.iterations))]
    assert list(tmp_path.iterdir()) == [path]


def test_a_second_fit_without_its_first_one_is_nothing(tmp_path: Path) -> None:
    """What is left of other settings does not come in the way of a run that begins anew."""
    path = tmp_path / "run.checkpoint"
    prior = ud.UntrainedNetwork(widths=(3, 4), iterations=9, checkpoint=path)
    with pytest.raises(KeyboardInterrupt):
        prior.restore(measured(RAMP), observe=interrupting(11))
    path.unlink()
    other = replace(prior, seed=3).restore(measured(RAMP))
    assert torch.equal(other.x, replace(prior, seed=3, checkpoint=None).restore(measured(RAMP)).x)
