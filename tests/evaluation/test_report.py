"""The page is whole, offline and safe, and its curves are where they belong."""

import base64
import dataclasses
import io
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from PIL import Image

from undegrade.core.measurement import Measurement
from undegrade.core.solver import Record
from undegrade.core.stopping import Status
from undegrade.degradations.flags import DegradationFlags
from undegrade.evaluation.curves import Curve, draw
from undegrade.evaluation.picture_uri import crop_uri, data_uri
from undegrade.evaluation.report import views, write_report
from undegrade.evaluation.restoration import Restoration, Score, evaluate, score
from undegrade.evaluation.section import (
    Section,
    in_size_of,
    level_found,
    noise_in_words,
    strongest_edges,
)
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.operators.identity import Identity
from undegrade.restorers.variational import Variational


def _restoration(method: str, x: torch.Tensor, psnrs: list[float]) -> Restoration:
    trace = tuple(
        Record(k + 1, 0.1 * k, {"psnr": torch.tensor([v]), "residual": torch.tensor([1 / (k + 1)])})
        for k, v in enumerate(psnrs)
    )
    return Restoration(
        method=method,
        x=x,
        status=Status.CONVERGED,
        iterations=len(psnrs),
        seconds=0.25,
        score=Score(psnr=psnrs[-1], ssim=0.5),
        trace=trace,
        chosen={"weight": 12.34},
        command=f"undegrade restore p.png --method {method}",
        file=f"p-{method}.png",
    )


def _section(title: str = "p.png", second: list[float] | None = None) -> Section:
    x, y = torch.rand(1, 3, 20, 30), torch.rand(1, 3, 10, 15)
    return Section(
        title=title,
        known="--noise gaussian:0.1",
        y=y,
        restorations=(
            _restoration("one", x, [20.0, 21.0]),
            _restoration("two", x, second or [19.0, 23.456]),
        ),
        truth=x,
        kernel=torch.rand(5, 7),
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
    write_report(tmp_path / "r.html", "Title", [_section("p.png"), _section("q.png")], "Note.")
    page = (tmp_path / "r.html").read_text("utf-8")
    reader = _Balance()
    reader.feed(page)
    assert not reader.faults
    assert not reader.open
    pictures = ("data:image/webp;base64,", "#case-")
    others = {link for link in reader.links if not link.startswith(pictures)}
    assert others == {"p-one.png", "p-two.png"}
    assert not re.search(r"https?://|@import|url\(", page)
    for words in (
        "Title",
        "Note.",
        "23.46",
        "converged: the residual is below",
        "--method two",
        "weight 12.34",
        "kernel, 5×7",
    ):
        assert words in page


def test_a_page_without_truth_has_no_scores(tmp_path: Path) -> None:
    sections = [dataclasses.replace(_section(name), truth=None) for name in ("p.png", "q.png")]
    write_report(tmp_path / "r.html", "Title", sections)
    page = (tmp_path / "r.html").read_text("utf-8")
    reader = _Balance()
    reader.feed(page)
    assert not reader.faults
    assert not re.search("<th[^>]*>(PSNR|SSIM|gain)</th>", page)


def test_names_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    write_report(tmp_path / "r.html", "<script>1</script>", [_section('"><img src=x onerror=1>')])
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "<script>1" not in page
    assert "<img src=x" not in page


def test_a_picture_in_the_page_is_the_picture() -> None:
    x = torch.linspace(0, 1, 40 * 30).reshape(1, 1, 40, 30)
    content = base64.b64decode(data_uri(x, 1_500_000).partition(",")[2])
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (30, 40)
        shown = torch.frombuffer(bytearray(image.convert("L").tobytes()), dtype=torch.uint8)
    torch.testing.assert_close(shown.float() / 255, x.flatten(), atol=0.05, rtol=0)


def test_large_pictures_are_shown_smaller() -> None:
    content = base64.b64decode(data_uri(torch.zeros(1, 1, 1300, 1301), 1_500_000).partition(",")[2])
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (651, 650)


@pytest.mark.parametrize("size", [(10, 15), (20, 30), (16, 26)])
def test_the_degraded_picture_gets_the_size_of_the_restored_one(size: tuple[int, int]) -> None:
    section = dataclasses.replace(_section(), y=torch.full((1, 3, *size), 0.5))
    assert torch.equal(section.enlarged, torch.full((1, 3, 20, 30), 0.5))


@pytest.mark.parametrize(("second", "best"), [([23.0], "two"), ([20.5], "one")])
def test_the_best_restoration_is_the_one_of_the_highest_psnr(
    tmp_path: Path, second: list[float], best: str
) -> None:
    section = _section(second=second)
    assert section.best.method == best
    write_report(tmp_path / "r.html", "Title", [section])
    assert f'data-best="{best}"' in (tmp_path / "r.html").read_text("utf-8")


def test_a_section_shows_something() -> None:
    with pytest.raises(ValueError, match="at least one restoration"):
        dataclasses.replace(_section(), restorations=())


def test_a_method_has_the_same_color_on_every_page_and_in_every_section() -> None:
    x = torch.rand(1, 3, 20, 30)

    def colors(*methods: str) -> dict[str, int]:
        restorations = tuple(_restoration(m, x, [1.0, 2.0]) for m in methods)
        (view,) = views([dataclasses.replace(_section(), restorations=restorations)])
        return {row.restoration.method: row.color for row in view["rows"]}

    assert colors("learned")["learned"] == colors("wiener", "mine", "learned")["learned"]
    several = colors("mine", "learned", "variational", "variational,weight=9", "wiener")
    assert len(set(several.values())) == 5


def test_what_was_observed_once_is_no_chart() -> None:
    (view,) = views([_section(second=[23.0])])
    assert [drawing.count("<polyline") for _, drawing in view["charts"]] == [1, 1]
    alone = dataclasses.replace(_section(), restorations=_section(second=[23.0]).restorations[1:])
    assert views([alone])[0]["charts"] == []


def test_many_pictures_are_shown_smaller_each_with_a_detail_in_full() -> None:
    x = torch.zeros(1, 3, 500, 500)  # flat and without a truth: soon encoded, never scored
    section = Section(title="large", known="", y=x, restorations=(_restoration("one", x, [20.0]),))
    (few,), many = views([section]), views([section] * 60)
    assert few["panes"][0].crop is None
    content = base64.b64decode(many[59]["panes"][0].source.partition(",")[2])
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (250, 250)
    detail = base64.b64decode(many[59]["panes"][0].crop.partition(",")[2])
    with Image.open(io.BytesIO(detail)) as image:
        assert image.size == (72, 72)


def test_a_detail_stays_within_the_picture() -> None:
    x = torch.zeros(1, 1, 100, 100)
    x[..., 80:, 80:] = 1
    content = base64.b64decode(crop_uri(x, (1.0, 1.0), 20).partition(",")[2])
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (20, 20)
        assert image.convert("L").getextrema()[0] > 250


def test_the_detail_lies_on_the_edges() -> None:
    x = torch.zeros(1, 1, 400, 300)
    x[:, :, 250:300:2, 180:230:2] = 1
    across, along = strongest_edges(x)
    assert across == pytest.approx(205 / 300, abs=0.15)
    assert along == pytest.approx(275 / 400, abs=0.15)
    assert strongest_edges(torch.zeros(1, 1, 5, 5)) == (0.5, 0.5)


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


def test_an_evaluation_watches_and_scores() -> None:
    x = torch.zeros(1, 1, 16, 16)
    x[..., 8:] = 1
    y = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    seen = list[int]()

    def observe(iteration: int, _: object) -> dict[str, torch.Tensor]:
        seen.append(iteration)
        return {"extra": torch.zeros(1)}

    restorer = Variational(weight=10.0, iterations=7, tolerance=0.0)
    measurement = Measurement(y, Identity(), Gaussian(0.1))
    done = evaluate("variational", restorer, measurement, x, (observe,))
    assert seen == list(range(1, 8))
    assert [set(r.values) - {"residual"} for r in done.trace] == [{"psnr", "extra"}] * 7
    assert done.score.psnr is not None
    assert done.score.psnr > 20
    assert done.seconds > 0
    assert done.chosen == {"weight": 10.0}


def test_scores_of_what_cannot_be_compared() -> None:
    x = torch.rand(1, 3, 8, 8)
    assert score(x, None) == Score()
    assert score(x, torch.rand(1, 3, 8, 9)) == Score()
    assert score(x, x) == Score(psnr=math.inf)


@pytest.mark.parametrize("shape", [(1, 1, 3, 4), (1, 1, 6, 8), (1, 3, 8, 11), (1, 2, 7, 9)])
def test_a_measurement_is_shown_in_the_shape_of_the_picture(shape: tuple[int, ...]) -> None:
    shown = in_size_of(torch.zeros(1, 3, 6, 8), torch.full(shape, 0.25))
    assert torch.equal(shown, torch.full((1, 3, 6, 8), 0.25))


def test_wording() -> None:
    assert DegradationFlags().words == []
    assert DegradationFlags(downsample=2, noise="poisson:9").words == [
        "--downsample", "2", "--noise", "poisson:9",
    ]  # fmt: skip
    assert noise_in_words(Gaussian(0.1)) == "Gaussian, std 0.1"
    levels = torch.tensor([0.01, 0.02, 0.08]).reshape(1, 3, 1, 1)
    assert noise_in_words(Gaussian(levels)) == "Gaussian, std 0.01 / 0.02 / 0.08"


def test_what_was_found_is_said_with_what_to_try_where_that_is_hardly_any() -> None:
    assert level_found(Gaussian(0.1)) == "noise found: Gaussian, std 0.1 (25.5 of 255)"
    assert level_found(Gaussian(200.0)) == "noise found: Gaussian, std 200"
    assert level_found(Gaussian(0.0011)).endswith(
        "hardly any; where you see more, say how much, as in --noise gaussian:0.06"
    )
