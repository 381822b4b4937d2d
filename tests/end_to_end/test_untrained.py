"""Methods that take long, on the command line: what they leave, and going on after Ctrl-C."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch

import undegrade as ud
from tests.end_to_end.conftest import Run
from undegrade.cli import progress
from undegrade.core.stopping import State
from undegrade.evaluation import restoration
from undegrade.files.picture import read_image


class Plain(NamedTuple):
    """A state that shows nothing but what every state does."""

    x: torch.Tensor
    residual: torch.Tensor


SMALL = "--method double-overparametrization --start noise --widths 3 4 --iterations 8 --delay 30"


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C while the fifth iteration is looked at."""

    def interrupt(x: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        calls.append(x)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return ud.psnr(x, truth)

    calls = list[torch.Tensor]()
    with monkeypatch.context() as patch:
        patch.setattr(restoration, "psnr", interrupt)
        yield patch


def test_what_was_removed_and_the_pictures_on_the_way_are_kept(folder: Path, run: Run) -> None:
    status, _, err = run("restore a.png --reference a.png --snapshots 4", SMALL)
    assert (status, err) == (0, "")
    name = "a-double-overparametrization"
    assert {path.name for path in (folder / "restored").iterdir()} == {
        f"{name}.png", f"{name}.png.csv", f"{name}-removed.png", "a-000004.png", "a-000008.png",
        "settings.json", "report.html",
    }  # fmt: skip
    page = (folder / "restored" / "report.html").read_text("utf-8")
    for pane in ("removed, 0 is gray", "iteration 4", "iteration 8"):
        assert (
            f'data-name="double-overparametrization{"," if "iter" in pane else ":"} {pane}' in page
        )
    for curve in ("loss", "variance", "PSNR in dB by iteration"):
        assert f"<figcaption>{curve}</figcaption>" in page
    removed = read_image(folder / "restored" / f"{name}-removed.png")
    assert float((removed - 0.5).abs().max()) < 0.5


def test_an_interrupted_restoration_goes_on_to_the_same_picture(
    folder: Path, run: Run, interrupted: pytest.MonkeyPatch
) -> None:
    call = "restore a.png --reference a.png"
    status, _, err = run(call, SMALL)
    left = folder / "restored" / "a-double-overparametrization.png.checkpoint"
    assert status == 130
    assert "interrupted; --resume goes on from restored/a-double" in err
    assert left.exists()
    interrupted.undo()
    assert run(call, "--resume", SMALL)[0] == 0
    assert not left.exists()
    resumed = read_image(folder / "restored" / "a-double-overparametrization.png")
    trace = (folder / "restored" / "a-double-overparametrization.png.csv").read_text()
    assert len(trace.splitlines()) == 9
    assert run(call, SMALL)[0] == 0
    again = read_image(folder / "restored" / "a-double-overparametrization.png")
    assert torch.equal(resumed, again)


def test_without_resume_it_begins_anew(
    folder: Path, run: Run, interrupted: pytest.MonkeyPatch
) -> None:
    run("restore a.png --reference a.png", SMALL)
    interrupted.undo()
    other = SMALL.replace("--delay 30", "--delay 40")
    status, _, err = run("restore a.png --resume", other)
    assert status == 2
    assert "another checkpoint than expected" in err
    assert run("restore a.png", other)[::2] == (0, "")
    assert list((folder / "restored").glob("*.checkpoint")) == []


def test_the_line_of_progress_says_loss_variance_psnr_and_the_time_left() -> None:
    seen, x = list[State](), torch.rand(1, 3, 9, 8)
    method = ud.RobustUntrainedNetwork(start="noise", widths=(3, 4), iterations=3)

    def observe(iteration: int, state: State) -> dict[str, torch.Tensor]:
        del iteration
        seen.append(state)
        return {}

    method.restore(ud.Measurement(x), observe=(observe,))
    words = list(progress.words(2, seen[1], 3, 200.0, x))
    assert words[0] == "iteration 2 of 3"
    assert [word.split()[0] for word in words[1:3]] == ["loss", "variance"]
    assert words[3] == f"{float(ud.psnr(seen[1].x, x)):.2f} dB"
    assert words[4] == "3 min left"


@pytest.mark.parametrize(("stopping", "fits"), [("held-out", 2), ("variance", 1)])
def test_a_run_counts_all_of_its_fits(stopping: Any, fits: int) -> None:
    seen = list[int]()
    method = ud.UntrainedNetwork(loss="gaussian", widths=(3, 4), iterations=3, stopping=stopping)

    def observe(iteration: int, state: State) -> dict[str, torch.Tensor]:
        del state
        seen.append(iteration)
        return {}

    method.restore(ud.Measurement(torch.rand(1, 3, 16, 16)), observe=(observe,))
    assert 3 < max(seen) <= method.most_iterations or fits == 1
    assert method.most_iterations == 3 * fits


def test_the_time_of_the_start_does_not_count_as_that_of_an_iteration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hundred seconds until the first look, then ten for each of the others."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    clock, said = iter([100.0, 110.0, 120.0]), list[str]()
    bar = progress.Bar(1)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(bar._rich, "update", lambda _, detail: said.append(detail))  # pyright: ignore
    observe = bar.observer(iterations=10)
    for iteration in (1, 2, 3):
        observe(iteration, Plain(torch.zeros(1, 1, 2, 2), torch.ones(1)))
    assert said == [
        "iteration 1 of 10",
        "iteration 2 of 10  80 s left",
        "iteration 3 of 10  70 s left",
    ]
