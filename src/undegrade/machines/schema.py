"""Settings from JSON that nobody vouches for, checked against the types of their dataclasses."""

import dataclasses
import math
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_json(settings: object, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Fields by name, and `kind`, the settings' name, where `kinds` has one."""
    names = {kind: name for name, kind in kinds.items()}
    tag = {"kind": names[type(settings)]} if type(settings) in names else {}
    return {
        **tag,
        **{
            name: to_json(value, kinds) if dataclasses.is_dataclass(value) else value
            for name, value in vars(settings).items()
        },
    }


def from_json(form: type[T], data: object, kinds: Mapping[str, type], at: str = "") -> T:
    """The settings that `to_json` wrote; fields that are left out have their defaults.

    Raises:
        ValueError: an unknown field or kind, a value of another type, or one that the settings
            refuse; the message names the field.
    """
    if not isinstance(data, dict):
        raise ValueError(f"expected settings by name{_place(at)}, got {_short(data)}")
    fields, hints = cast("dict[str, object]", dict(data)), get_type_hints(form)
    names = {kind: name for name, kind in kinds.items()}
    if form in names and fields.pop("kind", None) != names[form]:
        raise ValueError(f"expected the kind {names[form]!r}{_place(at)}, got {_short(data)}")
    unknown = sorted(fields.keys() - hints.keys())
    if unknown:
        raise ValueError(f"there is no setting {unknown[0]!r}{_place(at)}")
    values = {
        name: _value(hints[name], value, kinds, f"{at}.{name}".lstrip("."))
        for name, value in fields.items()
    }
    return form(**values)


def _value(hint: Any, data: Any, kinds: Mapping[str, type], at: str) -> object:
    """One field: settings, one of several settings, a list, a choice, or a scalar."""
    origin, inner = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint):
        return from_json(cast("type[object]", hint), data, kinds, at)
    if origin is UnionType:
        kind = kinds.get(str(data.get("kind"))) if type(data) is dict else None
        if kind not in inner:
            raise ValueError(f"expected settings of a known kind for {at}, got {_short(data)}")
        return from_json(cast("type[object]", kind), data, kinds, at)
    if origin is tuple and type(data) is list:
        return tuple(_value(inner[0], item, kinds, at) for item in data)
    if origin is Literal and type(data) is str and data in inner:
        return data
    if hint is float and isinstance(data, int | float) and type(data) is not bool:
        number = float(data)
        if math.isfinite(number):
            return number
    if hint in (int, bool) and type(data) is hint:
        return data
    expected = _WORDS.get(origin or hint, f"one of {', '.join(map(str, inner))}")
    raise ValueError(f"expected {expected} for {at}, got {_short(data)}")


_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    tuple: "a list of numbers",
}


def _place(at: str) -> str:
    return f" for {at}" if at else ""


def _short(data: object) -> str:
    text = repr(data)
    return text if len(text) <= 60 else f"{text[:57]}..."
