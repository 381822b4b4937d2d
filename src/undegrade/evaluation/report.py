"""One self-contained page that shows what restorations did, and how well."""

import importlib.resources
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from undegrade.core.image import Image
from undegrade.core.solver import Record
from undegrade.evaluation.curves import Curve, draw
from undegrade.evaluation.picture_uri import crop_uri, data_uri
from undegrade.evaluation.restoration import Restoration, Score, score
from undegrade.evaluation.section import DETAIL, Section, strongest_edges
from undegrade.files.atomic import replacing
from undegrade.restorers import RESTORERS

_MOST_PIXELS, _FEWEST_PIXELS = 1_500_000, 120_000  # of one picture as the page shows it
_ALL_PIXELS = 24_000_000  # of the whole page: some 5 MB
_THUMBNAIL = 20_000  # pixels
_COLORS = 6  # that the style sheet has
_ALONG = 4  # pictures on the way that are shown of one restoration
_FEW = 4  # sections that are open from the beginning
_TITLES = {"psnr": "PSNR in dB by iteration", "residual": "Residual of the method by iteration"}


@dataclass(frozen=True, kw_only=True)
class _Pane:
    """A picture as the page shows it; `crop` is its detail where the picture itself is reduced."""

    name: str
    source: str
    crop: str | None
    score: Score


@dataclass(frozen=True, kw_only=True)
class _Row:
    """What the page says of one restoration, the picture aside."""

    restoration: Restoration
    color: int


def write_report(path: str | Path, title: str, sections: Sequence[Section], note: str = "") -> None:
    """Write the page; it needs no network and no other file.

    Arguments:
        path: of the page.
        title: its heading.
        sections: one for each degraded picture. They are asked for one at a time, in order, so
            that a sequence that reads its pictures from files needs the memory of one.
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
        few=len(sections) <= _FEW,
        cases=views(sections),
        detail=DETAIL,
        style=(page / "report.css").read_text("utf-8"),
        script=(page / "report.js").read_text("utf-8"),
    )
    with replacing(path) as file:
        file.write(text.encode())


def views(sections: Sequence[Section]) -> list[Mapping[str, Any]]:
    """What the page says of each section: data URIs and words, no images."""
    colors = dict[str, int]()
    shown = list[Mapping[str, Any]]()
    for place in range(len(sections)):
        section = sections[place]
        for restoration in section.restorations:
            _add_color(colors, restoration.method)
        shown.append(_view(section, colors, _pixels(section, len(sections))))
    return shown


def _add_color(colors: dict[str, int], method: str) -> None:
    """Give a method its color: that of its place in the table, or the first that is free."""
    usual = list(RESTORERS)
    name = method.partition(",")[0]
    wanted = [usual.index(name)] if name in usual else []
    free = [c for c in (*wanted, *range(_COLORS)) if c < _COLORS and c not in colors.values()]
    colors.setdefault(method, free[0] if free else len(colors) % _COLORS)


def _pixels(section: Section, sections: int) -> int:
    """How many pixels of each picture the page shows."""
    each = _ALL_PIXELS // (sections * (2 + len(section.restorations)))
    return min(max(each, _FEWEST_PIXELS), _MOST_PIXELS)


def _view(section: Section, colors: Mapping[str, int], pixels: int) -> Mapping[str, Any]:
    best = section.best
    detail = strongest_edges(best.x if section.truth is None else section.truth)
    before = score(section.enlarged, section.truth)
    pictures = [("degraded", section.enlarged, before)]
    pictures += [(r.method, r.x, r.score) for r in section.restorations]
    pictures += [(name, x, Score()) for r in section.restorations for name, x in _beside(r)]
    pictures += [] if section.truth is None else [("truth", section.truth, Score())]
    return {
        "title": section.title,
        "known": section.known,
        "scored": section.truth is not None,
        "before": before,
        "best": best.method,
        "thumbnail": data_uri(best.x, _THUMBNAIL),
        "kernels": list(_kernels(section)),
        "panes": [_pane(name, x, found, detail, pixels) for name, x, found in pictures],
        "rows": [_Row(restoration=r, color=colors[r.method]) for r in section.restorations],
        "charts": _charts(section.restorations, colors),
        "width": best.x.shape[3],
        "height": best.x.shape[2],
        "across": detail[0],
        "along": detail[1],
    }


def _beside(r: Restoration) -> list[tuple[str, Image]]:
    """Pictures on the way, a few of them, and what was found beside the restored one."""
    steps = sorted(r.along)
    few = [steps[k * len(steps) // _ALONG] for k in range(_ALONG)] if len(steps) > _ALONG else steps
    along = [(f"{r.method}, iteration {k}", r.along[k]) for k in few]
    return along + [(f"{r.method}: {name}, 0 is gray", x) for name, x in r.parts.items()]


def _pane(name: str, x: Image, found: Score, detail: tuple[float, float], pixels: int) -> _Pane:
    crop = None if x.shape[2] * x.shape[3] <= pixels else crop_uri(x, detail, DETAIL)
    return _Pane(name=name, source=data_uri(x, pixels), crop=crop, score=found)


def _kernels(section: Section) -> Iterator[tuple[str, str]]:
    """What they are with their size, and their pictures: the given one, corrected ones, changes."""
    if section.kernel is not None:
        yield f"kernel, {_size(section.kernel)}", _kernel(section.kernel)
    for r in section.restorations:
        if r.kernel is not None:
            yield f"kernel of {r.method}, {_size(r.kernel)}", _kernel(r.kernel)
            if section.kernel is not None:
                yield "what it adds (bright) and takes", _change(r.kernel, section.kernel)


def _size(kernel: Tensor) -> str:
    return f"{kernel.shape[-2]}×{kernel.shape[-1]}"


def _kernel(kernel: Tensor) -> str:
    """White at its largest value; colors for its channels."""
    shown = kernel.reshape(1, -1, *kernel.shape[-2:])[:, :3].clamp(min=0)
    return data_uri(shown / shown.max().clamp(min=1e-12), _MOST_PIXELS)


def _change(new: Tensor, old: Tensor) -> str:
    """The difference of the mean kernels, middle on middle: gray where there is none."""
    planes = [k.reshape(-1, *k.shape[-2:]).mean(0) for k in (new, old)]
    room = [max(n, m) for n, m in zip(planes[0].shape, planes[1].shape, strict=True)]
    wide = [_in_the_middle(plane, room) for plane in planes]
    change = wide[0] - wide[1]
    shown = 0.5 + 0.5 * change / change.abs().max().clamp(min=1e-12)
    return data_uri(shown[None, None], _MOST_PIXELS)


def _in_the_middle(plane: Tensor, room: Sequence[int]) -> Tensor:
    down, right = ((n - m) // 2 for n, m in zip(room, plane.shape, strict=True))
    return torch.nn.functional.pad(plane, (right, right, down, down))


def _charts(
    restorations: Sequence[Restoration], colors: Mapping[str, int]
) -> list[tuple[str, str]]:
    """Title and drawing of the curves of each thing that was observed more than once."""
    charts = dict[str, list[Curve]]()
    for restoration in restorations:
        for name, points in _curves(restoration.trace).items():
            if len(points) > 1:
                curve = Curve(restoration.method, points, colors[restoration.method])
                charts.setdefault(name, []).append(curve)
    return [
        (_TITLES.get(name, name), draw(curves, logarithmic=name == "residual"))
        for name, curves in charts.items()
    ]


def _curves(trace: Sequence[Record]) -> Mapping[str, list[tuple[int, float]]]:
    curves = dict[str, list[tuple[int, float]]]()
    for record in trace:
        for key, value in record.values.items():
            curves.setdefault(key, []).append((record.iteration, value[0].item()))
    return curves
