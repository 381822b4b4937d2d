"""`undegrade methods`: what there is to choose from."""

import inspect
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import docstring_parser

from undegrade.cli.parsing import flags_from, look_up, parse
from undegrade.degradations.named_operator import operators
from undegrade.estimation.weight import RULES
from undegrade.kernels import arguments, formulas
from undegrade.likelihoods import noises
from undegrade.restorers import restorers


@dataclass(frozen=True)
class Methods:
    """List the methods, one line each, and their settings with their defaults; noises, kernels."""


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
    return look_up(restorers(), "method", name)


def read_method(text: str, command: str) -> Any:
    """A method such as "variational,weight=9".

    Arguments:
        text: the method.
        command: that it was given to.

    Raises:
        ValueError: it names an unknown method or setting, or a value that means nothing.
    """
    name, *settings = text.split(",")
    return parse(method_class(name), command, flags_from(settings))


def settings_of(method: type[Any]) -> dict[str, Any]:
    """The flags of a method's settings, and their defaults."""
    parameters = inspect.signature(method).parameters
    return {f"--{name.replace('_', '-')}": p.default for name, p in parameters.items()}


def _lines() -> Iterator[str]:
    for name, method in restorers().items():
        said = docstring_parser.parse(method.__doc__ or "")
        yield f"{name}: {said.short_description}"
        meaning = {p.arg_name.replace("_", "-"): p.description or "" for p in said.params}
        for setting, default in settings_of(method).items():
            flag = f"{setting} {_default(default)}"
            yield f"    {flag:<28} {' '.join(meaning.get(setting[2:], '').split())}".rstrip()
        yield ""
    yield f"--noise is one of {', '.join(f'{k}:{noise.unit}' for k, noise in noises().items())}"
    kernels = (":".join((name, *arguments(f))) for name, f in formulas().items())
    yield f"--blur is one of {', '.join(kernels)}, shake:SIZE, a kernel file"
    added = [":".join((name, *kind.arguments)) for name, kind in operators().items()]
    if added:
        yield f"--operator is one of {', '.join(added)}"


def _default(value: object) -> str:
    names = [name for name, rule in RULES.items() if rule == value]
    return names[0] if names else "auto" if value is None else str(value)
