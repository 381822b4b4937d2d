"""`undegrade methods`: what there is to choose from."""

import inspect
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import docstring_parser

from undegrade.cli.parsing import look_up, parse
from undegrade.restorers import RESTORERS
from undegrade.restorers.weight import RULES


@dataclass(frozen=True)
class Methods:
    """List the methods, one line each, and their settings with their defaults."""


def run(args: Sequence[str]) -> int:
    """Parse the arguments and list."""
    parse(Methods, "methods", args)
    sys.stdout.write("\n".join(_lines()) + "\n")
    return 0


def method_class(name: str) -> type[Any]:
    """The dataclass of a method's settings.

    Raises:
        ValueError: there is no such method; the nearest name is suggested.
    """
    return look_up(RESTORERS, "method", name)


def _lines() -> Iterator[str]:
    for name, method in RESTORERS.items():
        said = docstring_parser.parse(method.__doc__ or "")
        yield f"{name}: {said.short_description}"
        meaning = {p.arg_name: p.description or "" for p in said.params}
        for setting, parameter in inspect.signature(method).parameters.items():
            flag = f"--{setting.replace('_', '-')} {_default(parameter.default)}"
            yield f"    {flag:<28} {' '.join(meaning.get(setting, '').split())}".rstrip()
        yield ""


def _default(value: object) -> str:
    names = [name for name, rule in RULES.items() if rule == value]
    return names[0] if names else "auto" if value is None else str(value)
