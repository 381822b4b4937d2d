"""One self-contained page that shows what a restoration did, and how well."""

import base64
import importlib.resources
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from undegrade.core.image import Image
from undegrade.evaluation.curves import Curve, draw
from undegrade.evaluation.restoration import Score, Trial, score
from undegrade.files.atomic import replacing

_LARGEST = 1_500_000  # pixels that the page shows of one picture
_DETAIL = 72  # side of the detail that is shown enlarged


@dataclass(frozen=True, kw_only=True)
class Pane:
    """A picture as the page shows it.

    Arguments:
        name: short: degraded, truth, or the method.
        source: a data URI.
        score: against the truth.
    """

    name: str
    source: str = field(repr=False)
    score: Score = field(default_factory=Score)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One method's restoration.

    Arguments:
        pane: the restored picture.
        status: why it ended, in a sentence.
        iterations, seconds: what it took.
        curves: what was observed after each iteration, by name.
        command: what repeats it.
    """

    pane: Pane
    status: str
    iterations: int
    seconds: float
    curves: Mapping[str, Sequence[tuple[int, float]]] = field(repr=False)
    command: str


@dataclass(frozen=True, kw_only=True)
class Case:
    """One degraded picture and its restorations.

    Arguments:
        title: such as the file's name.
        degradation: what is known of it, in words or flags.
        before: the degraded picture.
        truth: the picture before degradation, where it is known.
        attempts: in the order of the page.
        width, height: of the restored picture, in pixels.
        detail: left, top and side of the square shown enlarged, as fractions of width and height.
    """

    title: str
    degradation: str
    before: Pane
    truth: Pane | None
    attempts: tuple[Attempt, ...]
    width: int
    height: int
    detail: tuple[float, float]

    @property
    def panes(self) -> list[Pane]:
        """Every picture of the case: degraded, the restorations, the truth."""
        truth = [] if self.truth is None else [self.truth]
        return [self.before, *(a.pane for a in self.attempts), *truth]

    @property
    def best(self) -> str:
        """The restoration with the highest PSNR; the last one where there is no truth."""
        last = self.attempts[-1]
        scored = [a for a in self.attempts if a.pane.score.psnr is not None]
        return max(scored, key=lambda a: a.pane.score.psnr or 0.0, default=last).pane.name

    @property
    def charts(self) -> list[tuple[str, str]]:
        """Title and drawing of the curve of each thing that was observed."""
        names = dict.fromkeys(name for a in self.attempts for name in a.curves)
        return [(_TITLES.get(name, name), self._chart(name)) for name in names]

    def _chart(self, name: str) -> str:
        curves = [
            Curve(a.pane.name, a.curves[name]) for a in self.attempts if len(a.curves.get(name, ()))
        ]
        return draw(curves, logarithmic=name == "residual")


_TITLES = {"psnr": "PSNR in dB by iteration", "residual": "Residual of the method by iteration"}


def make_pane(name: str, x: Image, truth: Tensor | None = None) -> Pane:
    """One image for the page, with its score."""
    return Pane(name=name, source=data_uri(x), score=score(x, truth))


def make_before(y: Tensor, size: tuple[int, int], truth: Tensor | None = None) -> Pane:
    """The degraded picture in the size of the restored one: enlarged, or centered and continued."""
    height, width = size
    h, w = y.shape[2:]
    if height % h == 0 and width % w == 0:
        y = y.repeat_interleave(height // h, 2).repeat_interleave(width // w, 3)
    else:
        down, right = max(height - h, 0), max(width - w, 0)
        pad = (right // 2, right - right // 2, down // 2, down - down // 2)
        y = functional.pad(y, pad, mode="replicate")
    return make_pane("degraded", y, truth)


def make_attempt(name: str, trial: Trial, command: str) -> Attempt:
    """What a page says of a trial.

    Arguments:
        name: of the method.
        trial: its outcome.
        command: what repeats it.
    """
    result = trial.result
    curves: dict[str, list[tuple[int, float]]] = {}
    for record in result.trace:
        for key, value in record.values.items():
            curves.setdefault(key, []).append((record.iteration, value[0].item()))
    return Attempt(
        pane=Pane(name=name, source=data_uri(result.x), score=trial.score),
        status=result.status[0].value,
        iterations=result.iterations[0],
        seconds=trial.seconds,
        curves=curves,
        command=command,
    )


def make_detail(x: Image) -> tuple[float, float]:
    """Center, as fractions of width and height, of the square with the strongest edges in x."""
    gray = x.mean(1, keepdim=True)
    down, right = gray.diff(dim=2).abs()[..., :-1], gray.diff(dim=3).abs()[:, :, :-1]
    if min(down.shape[2:]) < _DETAIL:
        return 0.5, 0.5
    energy = functional.avg_pool2d(down + right, _DETAIL, stride=_DETAIL // 4)
    row, column = divmod(int(energy.flatten().argmax()), energy.shape[3])
    corner = torch.tensor([column, row]) * (_DETAIL // 4) + _DETAIL / 2
    across, along = (corner / torch.tensor([x.shape[3], x.shape[2]])).tolist()
    return across, along


def write_report(path: str | Path, title: str, cases: Sequence[Case], note: str = "") -> None:
    """Write the page; it needs no network and no other file.

    Arguments:
        path: of the page.
        title: its heading.
        cases: one section each.
        note: a paragraph below the heading.

    Raises:
        OSError: the file cannot be written.
    """
    import jinja2

    page = importlib.resources.files("undegrade.evaluation") / "page"
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((page / "report.html.jinja").read_text("utf-8"))
    text = template.render(
        title=title,
        note=note,
        cases=cases,
        detail=_DETAIL,
        style=(page / "report.css").read_text("utf-8"),
        script=(page / "report.js").read_text("utf-8"),
    )
    with replacing(path) as file:
        file.write(text.encode())


def data_uri(x: Image) -> str:
    """The first image as WebP within a URI, reduced by a whole factor where it is large."""
    from PIL import Image as Pillow

    factor = math.ceil(math.sqrt(x.shape[2] * x.shape[3] / _LARGEST))
    shown = functional.avg_pool2d(x, factor, ceil_mode=True) if factor > 1 else x
    samples = (shown[0].detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    samples = samples.permute(1, 2, 0).contiguous().numpy()
    file = io.BytesIO()
    image = Pillow.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)
    image.save(file, "WEBP", quality=92, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
