"""One self-contained page of an experiment: findings, tables, curves, pictures."""

import importlib.resources
from collections.abc import Sequence
from pathlib import Path

from undegrade.evaluation.curves import Curve, draw
from undegrade.evaluation.picture_uri import data_uri
from undegrade.experiments.experiment import Outcome, Piece
from undegrade.files.atomic import replacing

_PIXELS = 300_000  # of one picture: the page stays at a few MB
_COLORS = 6  # that the style sheet has


def write_page(
    path: Path, title: str, found: Sequence[tuple[Piece, Outcome]], findings: Sequence[str]
) -> None:
    """Write the page.

    Raises:
        OSError: it cannot be written.
    """
    import jinja2

    style = importlib.resources.files("undegrade.evaluation") / "page" / "report.css"
    template = importlib.resources.files("undegrade.experiments") / "experiment.html.jinja"
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    tables = list(dict.fromkeys(piece.table for piece, _ in found))
    text = environment.from_string(template.read_text("utf-8")).render(
        title=title,
        findings=findings,
        style=style.read_text("utf-8"),
        tables=[_table(name, [f for f in found if f[0].table == name]) for name in tables],
    )
    with replacing(path) as file:
        file.write(text.encode())


def _table(name: str, found: Sequence[tuple[Piece, Outcome]]) -> dict[str, object]:
    columns = list(dict.fromkeys(column for _, outcome in found for column in outcome.row))
    return {
        "name": name,
        "columns": columns,
        "rows": [[outcome.row.get(column, "") for column in columns] for _, outcome in found],
        "charts": _charts(found),
        "strips": [
            (piece.name, [(c, data_uri(x, _PIXELS)) for c, x in outcome.pictures.items()])
            for piece, outcome in found
            if outcome.pictures
        ],
    }


def _charts(found: Sequence[tuple[Piece, Outcome]]) -> list[tuple[str, str]]:
    """Title and drawing of each chart: the curves that the pieces of a table give it."""
    charts = dict[str, list[Curve]]()
    for number, (piece, outcome) in enumerate(found):
        for title, points in outcome.curves.items():
            charts.setdefault(title, []).append(Curve(piece.name, points, number % _COLORS))
    return [(title, draw(curves, logarithmic=False)) for title, curves in charts.items()]
