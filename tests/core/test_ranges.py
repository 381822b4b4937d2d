"""Every number that a method can be given has a range, and what lies outside is refused."""

import dataclasses
import math
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from undegrade.core.ranges import Range
from undegrade.estimation.weight import Discrepancy, UnbiasedRisk
from undegrade.learned.gauss_newton_features import GaussNewtonSettings
from undegrade.learned.schedule import GeometricErrors
from undegrade.restorers import RESTORERS
from undegrade.training.segmentation import SegmentationSettings
from undegrade.training.settings import TrainingSettings

TRAININGS = (TrainingSettings, SegmentationSettings)
SETTINGS = [
    *RESTORERS.values(),
    UnbiasedRisk,
    Discrepancy,
    GeometricErrors,
    GaussNewtonSettings,
    *TRAININGS,
]
NEEDED: dict[type[Any], dict[str, Any]] = {
    kind: {"images": (Path("pictures"),), "output": Path("out")} for kind in TRAININGS
}


def numbers(settings: type[Any]) -> Iterator[tuple[str, Range | None]]:
    """The numeric fields that users set, with their ranges."""
    hints = typing.get_type_hints(settings, include_extras=True)
    for field in dataclasses.fields(settings):
        hint, found = hints[field.name], None
        if typing.get_origin(hint) is typing.Annotated:
            hint, *extra = typing.get_args(hint)
            found = next((part for part in extra if isinstance(part, Range)), None)
        numeric = any(kind in (int, float) for kind in (hint, *typing.get_args(hint)))
        if numeric and typing.get_origin(hint) is not tuple and field.name != "seed":
            yield field.name, found


_NO_NUMBERS = (math.nan, math.inf, -math.inf, 1e39, -1.0)
CASES = [(kind, name, found) for kind in SETTINGS for name, found in numbers(kind)]


@pytest.mark.parametrize(("kind", "name", "found"), CASES)
def test_every_number_has_a_range_that_is_kept(kind, name, found):
    assert found is not None, f"{kind.__name__}.{name} needs a range"
    hints = typing.get_type_hints(kind)
    whole = int in (hints[name], *typing.get_args(hints[name]))
    for wrong in (found.least - 1, int(found.most) + 1) if whole else _NO_NUMBERS:
        with pytest.raises(ValueError, match=f"{name} must be "):
            kind(**NEEDED.get(kind, {}), **{name: wrong})
    assert math.isfinite(found.most)


def test_a_message_says_what_was_expected_and_what_came():
    with pytest.raises(ValueError, match=r"^weight must be above 0 and at most 1e[+]12, got 0$"):
        RESTORERS["variational"](weight=0.0)


def test_every_number_of_a_tuple_is_looked_at():
    for wrong in ({"crops": (96, 0)}, {"scales": (1.0, 1.5)}, {"scales": (1.0, math.nan)}):
        (name,) = wrong
        with pytest.raises(ValueError, match=f"{name} must be "):
            TrainingSettings(**NEEDED[TrainingSettings], **wrong)


def choices(settings: type[Any]) -> Iterator[str]:
    """The fields of which users choose one of a few values."""
    for name, hint in typing.get_type_hints(settings).items():
        options = (hint,) if typing.get_origin(hint) is typing.Literal else typing.get_args(hint)
        if any(typing.get_origin(option) is typing.Literal for option in options):
            yield name


WORDS = [(kind, name) for kind in SETTINGS for name in choices(kind)]


@pytest.mark.parametrize(("kind", "name"), WORDS)
def test_words_that_mean_nothing_are_refused(kind, name):
    settings = kind(**NEEDED.get(kind, {}))
    object.__setattr__(settings, name, "bf61")  # tests check the types of what they give
    with pytest.raises(ValueError, match=f"{name} must be .* or .*, got bf61"):
        settings.__post_init__()
