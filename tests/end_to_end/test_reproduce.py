"""`undegrade reproduce`: pieces that are done stay done."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch

from tests.end_to_end.conftest import Run, scene
from undegrade.experiments import EXPERIMENTS
from undegrade.experiments.experiment import Outcome, Piece, Row
from undegrade.files.picture import write_image


class Small:
    """Two tables, three pieces; counts its runs, and fails in a piece as long as it is asked to."""

    def __init__(self) -> None:
        self.ran, self.broken = list[str](), "c"

    def pieces(self, images: Path | None, minutes: float) -> Sequence[Piece]:
        del images, minutes
        return [
            Piece(table=t, name=n, run=self._runner(n)) for t, n in zip("TTU", "abc", strict=True)
        ]

    def findings(self, rows: Mapping[str, Sequence[Row]]) -> Sequence[str]:
        return (f"{sum(map(len, rows.values()))} rows <so far>",)

    def _runner(self, name: str):
        def run(checkpoint: Path) -> Outcome:
            del checkpoint
            if name == self.broken:
                raise KeyboardInterrupt
            self.ran.append(name)
            curve = {"PSNR": [(1, 2.0), (2, 3.5)]}
            return Outcome(
                row={"name": name, "dB": "3.5"}, curves=curve, pictures={"it": scene(9, 8)}
            )

        return run


def test_it_goes_on_where_it_stopped(folder: Path, run: Run, monkeypatch) -> None:
    small = Small()
    monkeypatch.setitem(EXPERIMENTS, "small", small)
    assert run("reproduce small --output out")[0] == 130
    assert (folder / "out" / "t.md").read_text().count("3.5") == 2
    small.broken = ""
    status, out, err = run("reproduce small --output out")
    assert (status, err) == (0, "")
    assert small.ran == ["a", "b", "c"]
    assert "report.html" in out
    page = (folder / "out" / "report.html").read_text("utf-8")
    assert "3 rows &lt;so far&gt;" in page
    assert page.count("data:image/webp") == 3
    assert page.count("<svg") == 2
    assert run("reproduce small --output out")[0] == 0
    assert small.ran == ["a", "b", "c"]


@pytest.mark.usefixtures("folder")
def test_a_spent_budget_ends_the_call(run: Run, monkeypatch) -> None:
    small = Small()
    small.broken = ""
    monkeypatch.setitem(EXPERIMENTS, "small", small)
    status, out, _ = run("reproduce small --output out --budget 1e-9")
    assert status == 0
    assert "the same command goes on" in out
    assert len(small.ran) < 3


def test_what_cannot_be_is_said(folder: Path, run: Run, monkeypatch) -> None:
    monkeypatch.setitem(EXPERIMENTS, "small", Small())
    run("reproduce small --output out --budget 9")
    for call, said in (
        ("reproduce smal", "did you mean small?"),
        ("reproduce small --output out --budget 8", "holds small with --budget 9"),
        ("reproduce small --budget 0", "more than 0 minutes"),
        ("reproduce double-overparametrization", "give --images"),
        ("reproduce double-overparametrization --images .", "has no picture F16"),
        ("reproduce small --images nowhere", "nowhere"),
    ):
        status, _, err = run(call)
        assert status == 2, call
        assert said in err
    assert json.loads((folder / "out" / "plan.json").read_text())["minutes"] == 9


@pytest.mark.slow
def test_double_overparametrization_small(folder: Path, run: Run) -> None:
    for name in ("F16", "Peppers", "Baboon", "kodim03"):
        write_image(f"{name}.png", scene(40, 33) + 0.05 * torch.rand(1, 3, 40, 33))
    status, out, _ = run("reproduce double-overparametrization --images . -o out --budget 4.9")
    assert status == 0
    assert "of 7 cells" in (folder / "out" / "report.html").read_text("utf-8")
    assert out.count("DOP from noise") == 7


@pytest.mark.slow
def test_analytic_deep_prior_1d_small(folder: Path, run: Run) -> None:
    status, out, _ = run("reproduce analytic-deep-prior-1d -o out --budget 0.9")
    assert status == 0
    page = (folder / "out" / "report.html").read_text("utf-8")
    assert page.count("ended lowest") == 2
    assert out.count("MAID") == 2
    assert "loss by lower iterations, integration" in page


@pytest.mark.slow
def test_analytic_deep_prior_2d_small(folder: Path, run: Run) -> None:
    write_image("nessy.png", scene(120, 90))
    status, out, _ = run("reproduce analytic-deep-prior-2d --images . -o out --budget 0.9")
    assert status == 0
    page = (folder / "out" / "report.html").read_text("utf-8")
    assert "The kernel known, ADP-β ends" in page
    assert out.count("ADP-β by IFT") >= 2
    assert "PSNR by upper step, nessy ADP-β by LISTA" in page
