"""Cameras and files in the words of the command line."""

from pathlib import Path

from undegrade.degradations.blur_words import number
from undegrade.degradations.jpeg import Jpeg
from undegrade.degradations.suggestion import did_you_mean
from undegrade.files.tables import read_columns
from undegrade.operators.response import Response
from undegrade.operators.response_curves import CURVES, SRGB, Gamma, Logarithm, Table

OWN = "own"
"""Stands for the tables of the picture itself."""
_RESPONSES = "srgb, gamma:G, log, log:GAIN or curve:FILE"


def read_response(text: str | None) -> Response | None:
    """A response such as gamma:2.2; None for none.

    Raises:
        OSError: a file that cannot be opened.
        ValueError: words that mean nothing, or a file that holds no curve.
    """
    if text is None:
        return None
    kind, _, rest = text.partition(":")
    if kind not in CURVES:
        hint = did_you_mean(kind, CURVES)
        raise ValueError(f"the response must be {_RESPONSES}, got {text!r}; {hint}")
    if kind == "curve":
        return Response(_curve_from(Path(rest)))
    if kind == "gamma":
        return Response(Gamma(number(rest, "gamma:G", text)))
    if kind == "log":
        return Response(Logarithm(number(rest, "log:GAIN", text)) if rest else Logarithm())
    if rest:
        raise ValueError(f"srgb takes no number, got {text!r}")
    return Response(SRGB())


def read_jpeg(word: int | str | None) -> Jpeg | None:
    """A quality, or a file that has the tables; None for none, and for tables to be read later.

    Raises:
        OSError: a file that cannot be opened.
        ValueError: another word, a quality that does not exist, or a file that is no JPEG.
    """
    if word is None or word == OWN:
        return None
    text = str(word)
    if text.lstrip("-").isdecimal():
        return Jpeg.of_quality(int(text))
    if not Path(text).is_file():
        raise ValueError(f"expected a JPEG quality from 1 to 100, a JPEG file or own, got {text!r}")
    return Jpeg.of_file(text)


def _curve_from(path: Path) -> Table:
    """A table of light and values, or of values for light that is spaced evenly from 0 to 1."""
    columns = read_columns(path)
    if len(columns) not in (1, 2):
        raise ValueError(
            f"{path} has {len(columns)} columns; a curve has light and value, or values"
        )
    values = columns[-1]
    steps = max(1, len(values) - 1)
    light = columns[0] if len(columns) == 2 else tuple(i / steps for i in range(len(values)))
    return Table(light, values)
