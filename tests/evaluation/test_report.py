"""The page is whole, offline and safe, and its curves are where they belong."""

import base64
import dataclasses
import io
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from undegrade.core.measurement import Measurement
from undegrade.core.solver import Record, Result
from undegrade.core.stopping import Status
from undegrade.evaluation.curves import Curve, draw
from undegrade.evaluation.report import (
    Case,
    data_uri,
    make_attempt,
    make_before,
    make_detail,
    make_pane,
    write_report,
)
from undegrade.evaluation.restoration import Score, Trial, run_trial, score
from undegrade.evaluation.wording import flags_of, level_found, noise_in_words
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.operators.identity import Identity
from undegrade.restorers.variational import Variational


def _trial(x: torch.Tensor, psnrs: list[float]) -> Trial:
    trace = tuple(
        Record(k + 1, 0.1 * k, {"psnr": torch.tensor([v]), "residual": torch.tensor([1 / (k + 1)])})
        for k, v in enumerate(psnrs)
    )
    state = SimpleNamespace(x=x, residual=torch.zeros(1))
    result = Result(x, (Status.CONVERGED,), (len(psnrs),), 0.1, state, trace)
    return Trial(result=result, seconds=0.25, score=Score(psnr=psnrs[-1], ssim=0.5))


def _case(title: str = "p.png") -> Case:
    x, y = torch.rand(1, 3, 20, 30), torch.rand(1, 3, 10, 15)
    return Case(
        title=title,
        degradation="--noise gaussian:0.1",
        before=make_before(y, (20, 30), x),
        truth=make_pane("truth", x),
        attempts=(
            make_attempt("one", _trial(x, [20.0, 21.0]), "undegrade restore p.png"),
            make_attempt("two", _trial(x, [19.0, 23.456]), "undegrade restore p.png --method two"),
        ),
        width=30,
        height=20,
        detail=make_detail(x),
    )


class _Balance(HTMLParser):
    """Collects tags that are closed in another order than they were opened."""

    VOID = frozenset({"meta", "img", "input", "link", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [v or "" for k, v in attrs if k in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)


def test_the_page_is_whole_and_needs_nothing_else(tmp_path: Path) -> None:
    write_report(tmp_path / "r.html", "Title", [_case("p.png"), _case("q.png")], "Note.")
    page = (tmp_path / "r.html").read_text("utf-8")
    reader = _Balance()
    reader.feed(page)
    assert not reader.faults
    assert not reader.open
    assert all(link.startswith(("data:image/webp;base64,", "#case-")) for link in reader.links)
    assert not re.search(r"https?://|@import|url\(", page)
    for words in ("Title", "Note.", "23.46", "converged: the residual is below", "--method two"):
        assert words in page


def test_a_page_without_truth_has_no_scores(tmp_path: Path) -> None:
    cases = [dataclasses.replace(_case(name), truth=None) for name in ("p.png", "q.png")]
    write_report(tmp_path / "r.html", "Title", cases)
    page = (tmp_path / "r.html").read_text("utf-8")
    reader = _Balance()
    reader.feed(page)
    assert not reader.faults
    assert not re.search("<th[^>]*>(PSNR|SSIM|gain)</th>", page)


def test_names_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    write_report(tmp_path / "r.html", "<script>1</script>", [_case('"><img src=x onerror=1>')])
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "<script>1" not in page
    assert "<img src=x" not in page


def test_a_picture_in_the_page_is_the_picture() -> None:
    x = torch.linspace(0, 1, 40 * 30).reshape(1, 1, 40, 30)
    content = base64.b64decode(data_uri(x).partition(",")[2])
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (30, 40)
        shown = torch.frombuffer(bytearray(image.convert("L").tobytes()), dtype=torch.uint8)
    torch.testing.assert_close(shown.float() / 255, x.flatten(), atol=0.05, rtol=0)


def test_large_pictures_are_shown_smaller() -> None:
    content = base64.b64decode(data_uri(torch.zeros(1, 1, 1300, 1301)).partition(",")[2])
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (651, 650)


@pytest.mark.parametrize("size", [(10, 15), (20, 30), (16, 26)])
def test_the_degraded_picture_gets_the_size_of_the_restored_one(size: tuple[int, int]) -> None:
    y = torch.full((1, 3, *size), 0.5)
    pane = make_before(y, (20, 30), torch.full((1, 3, 20, 30), 0.6))
    assert pane.score.psnr == pytest.approx(20, abs=1e-3)


def test_the_detail_lies_on_the_edges() -> None:
    x = torch.zeros(1, 1, 400, 300)
    x[:, :, 250:300:2, 180:230:2] = 1
    across, along = make_detail(x)
    assert across == pytest.approx(205 / 300, abs=0.15)
    assert along == pytest.approx(275 / 400, abs=0.15)
    assert make_detail(torch.zeros(1, 1, 5, 5)) == (0.5, 0.5)


def test_a_curve_is_drawn_in_place() -> None:
    drawing = draw([Curve("a<b", [(1, 1.0), (10, 2.0), (100, 3.0)])], logarithmic=False)
    (points,) = re.findall(r'points="([^"]*)"', drawing)
    (x0, y0), (x1, y1), (x2, y2) = (map(float, p.split(",")) for p in points.split())
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert y0 > y2
    assert "a&lt;b" in drawing


def test_what_cannot_be_drawn_leaves_a_gap() -> None:
    bad = [(1, math.nan), (2, 0.1), (3, 0.0), (4, math.inf), (5, 0.01)]
    (points,) = re.findall(r'points="([^"]*)"', draw([Curve("r", bad)], logarithmic=True))
    assert len(points.split()) == 2
    assert "Nothing" in draw([Curve("r", [(1, math.nan)])], logarithmic=True)
    assert "<polyline" in draw([Curve("r", [(1, 3.0)])], logarithmic=False)


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    long = [(k, 1.0 / k) for k in range(1, 100_001)]
    drawing = draw([Curve("r", long)], logarithmic=True)
    assert len(drawing) < 20_000
    short = draw([Curve("r", [long[0], long[-1]])], logarithmic=True)
    ends = [re.findall(r'points="(\S+) .*?(\S+)"', d)[0] for d in (drawing, short)]
    assert ends[0] == ends[1]


def test_names_of_curves_do_not_touch() -> None:
    drawing = draw([Curve(n, [(1, 1.0), (9, 1.0)]) for n in "abc"], logarithmic=False)
    heights = [float(y) for y in re.findall(r'<text x="430" y="([\d.]+)">[abc]<', drawing)]
    assert len(heights) == 3
    assert min(b - a for a, b in zip(sorted(heights), sorted(heights)[1:], strict=False)) >= 14


def test_a_trial_watches_and_scores() -> None:
    x = torch.zeros(1, 1, 16, 16)
    x[..., 8:] = 1
    y = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    seen = list[int]()

    def observe(iteration: int, _: object) -> dict[str, torch.Tensor]:
        seen.append(iteration)
        return {"extra": torch.zeros(1)}

    restorer = Variational(weight=10.0, iterations=7, tolerance=0.0)
    trial = run_trial(restorer, Measurement(y, Identity(), Gaussian(0.1)), x, (observe,))
    assert seen == list(range(1, 8))
    assert [set(r.values) - {"residual"} for r in trial.result.trace] == [{"psnr", "extra"}] * 7
    assert trial.score.psnr is not None
    assert trial.score.psnr > 20
    assert trial.seconds > 0


def test_scores_of_what_cannot_be_compared() -> None:
    x = torch.rand(1, 3, 8, 8)
    assert score(x, None) == Score()
    assert score(x, torch.rand(1, 3, 8, 9)) == Score()
    assert score(x, x) == Score(psnr=math.inf)


def test_wording() -> None:
    from undegrade.degradations.flags import DegradationFlags

    assert flags_of(DegradationFlags()) == []
    assert flags_of(DegradationFlags(downsample=2, noise="poisson:9")) == [
        "--downsample", "2", "--noise", "poisson:9",
    ]  # fmt: skip
    assert noise_in_words(Gaussian(0.1)) == "Gaussian, std 0.1"


def test_what_was_found_is_said_with_what_to_try_where_that_is_hardly_any() -> None:
    assert level_found(Gaussian(0.1)) == "noise found: Gaussian, std 0.1 (25.5 of 255)"
    assert level_found(Gaussian(0.0011)).endswith(
        "hardly any; where you see more, say how much, as in --noise gaussian:0.06"
    )
