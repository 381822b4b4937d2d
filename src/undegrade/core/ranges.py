"""Which values a setting takes, declared beside it."""

import dataclasses
import functools
import itertools
import types
import typing
from typing import Any, final


@final
@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `least` to `most`; without `least` itself where that is excluded.

    Stands in the annotation of a field, as in `steps: Annotated[int, Range(1, 1000)] = 8`; beside a
    tuple it holds for all of its numbers.
    """

    least: float | int
    most: float | int
    excluded: bool = False

    def __contains__(self, value: float | int) -> bool:
        return (self.least < value if self.excluded else self.least <= value) and value <= self.most

    def __str__(self) -> str:
        if self.excluded:
            return f"above {self.least:g} and at most {self.most:g}"
        return f"from {self.least:g} to {self.most:g}"


# The bounds keep what is computed from a setting finite in single precision, and loops finite.
POSITIVE = Range(0, 1e12, excluded=True)
TOLERANCE = Range(0, 1e6)
COUNT = Range(1, 10_000_000)


def check_ranges(settings: Any) -> None:
    """Refuse what a setting does not declare, such as NaN or a misspelled word.

    For a `__post_init__`. A `Range` says which numbers there may be, a `Literal` which values.

    Arguments:
        settings: an instance of a dataclass.

    Raises:
        ValueError: the message names the setting, what was expected and what came.
    """
    for name, (ranges, choices) in _declared(type(settings)).items():
        value = vars(settings)[name]
        for number in value if isinstance(value, tuple) else (value,):
            for allowed in ranges:
                if number is not None and number not in allowed:
                    raise ValueError(f"{name} must be {allowed}, got {number:g}")
        if choices and value not in choices:
            *others, last = map(str, choices)
            words = f"{', '.join(others)} or {last}" if others else last
            raise ValueError(f"{name} must be {words}, got {value}")


@functools.cache
def _declared(kind: type[Any]) -> dict[str, tuple[list[Range], tuple[Any, ...]]]:
    """Ranges and choices of every setting; choices are none where it may be anything else too."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {
        name: ([part for part in _parts(hint) if isinstance(part, Range)], _choices(hint))
        for name, hint in hints.items()
    }


def _parts(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Annotated else (hint,)


def _choices(hint: Any) -> tuple[Any, ...]:
    kind = _parts(hint)[0]
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    words = [typing.get_args(o) for o in options if typing.get_origin(o) is typing.Literal]
    whole = len(words) + (types.NoneType in options) == len(options)
    return (*itertools.chain(*words), *(None,) * (types.NoneType in options)) if whole else ()
