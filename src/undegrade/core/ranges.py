"""Which numbers a setting takes, declared beside it."""

import dataclasses
import functools
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
    """Refuse a setting outside of its declared range, such as NaN: for a `__post_init__`.

    Arguments:
        settings: an instance of a dataclass.

    Raises:
        ValueError: one is; the message names it, what was expected and what came.
    """
    for name, allowed in _declared(type(settings)).items():
        value = vars(settings)[name]
        for number in value if isinstance(value, tuple) else (value,):
            if number is not None and number not in allowed:
                raise ValueError(f"{name} must be {allowed}, got {number:g}")


@functools.cache
def _declared(kind: type[Any]) -> dict[str, Range]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {
        name: part
        for name, hint in hints.items()
        if typing.get_origin(hint) is typing.Annotated
        for part in typing.get_args(hint)
        if isinstance(part, Range)
    }
