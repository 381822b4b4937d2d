"""Checkpoints: whole or not there, checked when read, of a training or of any solver."""

import hashlib
import io
from typing import NamedTuple

import pytest
import torch

from tests.cases import SOLVERS
from undegrade.core.solver import advance, solve
from undegrade.core.stopping import Until
from undegrade.files.checkpoint import (
    checkpoint_path,
    checkpoints,
    keep_newest,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)


class Pair(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor | None


CONTENT = {
    "iteration": 7,
    "weights": {"a": torch.arange(3.0), 0: [torch.ones(2, 2), 0.5]},
    "pair": Pair(torch.zeros(1), None),
    "name": "machine",
    "rows": torch.zeros(2, 4),
}


def forged(path, payload: bytes) -> None:
    """A file with a right hash, whatever its content."""
    digest = hashlib.sha256(payload).digest()
    path.write_bytes(b"undegrade checkpoint 1\n" + digest + payload)


def test_what_is_written_is_read(tmp_path):
    path = checkpoint_path(tmp_path, 7)
    save_checkpoint(path, CONTENT)
    content = load_checkpoint(path, {**CONTENT, "iteration": 0, "rows": torch.zeros(0, 4)})
    assert content["iteration"] == 7
    assert torch.equal(content["weights"]["a"], torch.arange(3.0))
    assert isinstance(content["weights"][0], list)
    assert isinstance(content["pair"], Pair)
    assert content["rows"].shape == (2, 4)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint-000000007.pt"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"iteration": 1.0}, "content.iteration is of the type float, expected int"),
        ({"iteration": True}, "expected int"),
        ({"weights": 3}, "content.weights has no parts"),
        ({"weights": {"a": torch.arange(3.0)}}, "content.weights lacks or has too much: 0"),
        ({"weights": {**CONTENT["weights"], "a": torch.arange(4.0)}}, r"float32 of \(4,\)"),
        ({"weights": {**CONTENT["weights"], "a": torch.arange(3)}}, "torch.int64"),
        ({"rows": torch.zeros(0, 4)}, r"\(0, 4\)"),
        ({"name": None}, "is 'None', expected 'machine'"),
    ],
)  # fmt: skip
def test_other_content_than_expected_is_one_sentence(tmp_path, change, words):
    save_checkpoint(tmp_path / "a.pt", {**CONTENT, **change})
    with pytest.raises(ValueError, match=words) as refusal:
        load_checkpoint(tmp_path / "a.pt", {**CONTENT, "rows": torch.zeros(0, 4)})
    assert "a.pt" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_what_has_no_place_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no place for a set"):
        save_checkpoint(tmp_path / "a.pt", {"a": {1, 2}})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "harm", ["truncated", "altered", "foreign", "empty", "no archive", "mistyped", "cut archive"]
)
def test_a_damaged_checkpoint_is_passed_over(tmp_path, harm):
    for i in (1, 2):
        save_checkpoint(checkpoint_path(tmp_path, i), {"iteration": i})
    path = checkpoint_path(tmp_path, 2)
    whole, start = path.read_bytes(), len(b"undegrade checkpoint 1\n") + 32
    altered = bytearray(whole)
    altered[-20] ^= 1
    mistyped = io.BytesIO()
    torch.save({"iteration": [2]}, mistyped)
    if harm in ("no archive", "mistyped", "cut archive"):
        payloads = {"no archive": b"PK" * 90, "cut archive": whole[start:-300]}
        forged(path, payloads.get(harm, mistyped.getvalue()))
    else:
        damaged = {
            "truncated": whole[:-5],
            "altered": altered,
            "foreign": b"GIF" * 99,
            "empty": b"",
        }
        path.write_bytes(bytes(damaged[harm]))
    content, complaints = newest_checkpoint(tmp_path, {"iteration": 0})
    assert content == {"iteration": 1}
    assert len(complaints) == 1
    assert str(path) in complaints[0]
    assert "\n" not in complaints[0]


def test_without_checkpoints_there_is_none(tmp_path):
    assert newest_checkpoint(tmp_path, {}) == (None, ())


def test_a_training_does_not_begin_anew_where_no_checkpoint_can_be_used(tmp_path):
    checkpoint_path(tmp_path, 1).write_bytes(b"")
    with pytest.raises(ValueError, match="remove them to begin anew"):
        newest_checkpoint(tmp_path, {})


def test_only_the_newest_are_kept(tmp_path):
    for i in range(4):
        save_checkpoint(checkpoint_path(tmp_path, i), {"iteration": i})
    keep_newest(tmp_path, 2)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["checkpoint-000000002.pt", "checkpoint-000000003.pt"]


def test_a_checkpoint_with_code_in_it_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (exec, ("raise SystemExit",))

    buffer = io.BytesIO()
    torch.save({"evil": Evil()}, buffer)
    forged(tmp_path / "a.pt", buffer.getvalue())
    with pytest.raises(ValueError, match="torch cannot read its content"):
        load_checkpoint(tmp_path / "a.pt", {})


@pytest.mark.parametrize("name", SOLVERS)
def test_any_solver_goes_on_from_its_checkpoint(tmp_path, name):
    """The state of an observer's file steps to the same bits as one that was never written."""
    solver, problem = SOLVERS[name].solver, SOLVERS[name].quadratic()
    x0, path = torch.zeros(2, 1, 5, 6, dtype=torch.float64), tmp_path / "s.pt"
    solve(solver, problem, x0, stop=Until(iterations=3), observe=[checkpoints(path, 0.0)])
    example = advance(solver, problem, x0 + 1, 3)
    loaded = load_checkpoint(path, {"iteration": 0, "state": example})
    assert loaded["iteration"] == 3
    state = advance(solver, problem, x0, 4)
    assert torch.equal(solver.step(problem, loaded["state"]).x, state.x)


def test_an_observer_writes_no_more_often_than_it_is_told(tmp_path):
    case = SOLVERS["gradient descent"]
    x0, observer = torch.zeros(2, 1, 5, 6, dtype=torch.float64), checkpoints(tmp_path / "s", 3600.0)
    solve(case.solver, case.quadratic(), x0, stop=Until(iterations=3), observe=[observer])
    assert not (tmp_path / "s").exists()
