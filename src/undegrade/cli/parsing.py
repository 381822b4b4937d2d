"""Command lines from dataclasses, and their faults in one line."""

import argparse
import contextlib
import io
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from undegrade.cli.failure import unknown
from undegrade.estimation.weight import RULES, WeightRule

T = TypeVar("T")
_VALUES = ConstructorRegistry()
_SATURATION, _SATURATIONS = "--saturation", ("auto", "on", "off")


@_VALUES.primitive_rule
def _weight_rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[WeightRule] | None:
    """A rule that chooses a weight, by its name in RULES."""
    if info.type is not WeightRule:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="|".join(RULES),
        instance_from_str=lambda words: look_up(RULES, "rule", words[0]),
        is_instance=lambda value: value in RULES.values(),
        str_from_instance=lambda rule: [name for name, known in RULES.items() if known == rule],
    )


@_VALUES.primitive_rule
def _whole_number_or_none(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[int | None] | None:
    """A whole number; x2 is told with the number that was meant."""
    if info.type != (int | None):
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT",
        instance_from_str=lambda words: _whole_number(words[0]),
        is_instance=lambda value: value is None or isinstance(value, int),
        str_from_instance=lambda value: [str(value)],
    )


def _whole_number(word: str) -> int | None:
    digits = word.strip("x×")
    if digits != word and digits.isdecimal():
        raise ValueError(f"expected a whole number, got {word!r}; did you mean {digits}?")
    return None if word in ("auto", "None") else int(word)


@_VALUES.primitive_rule
def _number_or_auto(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[float | None] | None:
    """A number, or the word auto where the method is to choose it."""
    if info.type != (float | None):
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="FLOAT|auto",
        instance_from_str=lambda words: None if words[0] in ("auto", "None") else float(words[0]),
        is_instance=lambda value: value is None or isinstance(value, float),
        str_from_instance=lambda value: ["auto" if value is None else str(value)],
    )


def parse(form: Callable[..., T], command: str, args: Sequence[str], default: T | None = None) -> T:
    """The dataclass that the arguments describe, beginning with `default` where it is given.

    Raises:
        ValueError: they describe none; the message is tyro's, in one line.
        SystemExit: help was asked for and printed.
    """
    complaint = io.StringIO()
    page = io.BytesIO()
    asked = io.TextIOWrapper(page, encoding=sys.stdout.encoding, write_through=True)
    start: Any = tyro.MISSING_NONPROP if default is None else default
    try:
        with contextlib.redirect_stderr(complaint), contextlib.redirect_stdout(asked), _VALUES:
            return tyro.cli(form, prog=f"undegrade {command}", args=_completed(args), default=start)
    except SystemExit as stop:
        if not stop.code:
            sys.stdout.write(_titled(page.getvalue().decode(asked.encoding)))
            raise
        raise ValueError(f"{_condensed(complaint.getvalue())} (see {command} --help)") from stop


def _completed(args: Sequence[str]) -> list[str]:
    """The arguments, with the word that a bare --saturation leaves out."""
    words = list[str]()
    for word, following in zip(args, [*args, ""][1:], strict=True):
        words.append(word)
        if word == _SATURATION and following not in _SATURATIONS:
            words.append("on")
    return words


# Groups of options: tyro names them after fields.
_TITLES = {
    "known options": "what is known of the degradation",
    "settings options": "settings of the method",
    "reading options": "how the files are read",
    "mixture options": "what the training shows",
}


def _titled(text: str) -> str:
    """Help whose groups have their names in words."""
    for name, words in _TITLES.items():
        missing = "─" * (len(words) - len(name))
        text = text.replace(f"─ {name} {missing}", f"─ {words} ")
        # where boxes cannot be printed, titles stand alone
        text = re.sub(rf"(?m)^(\W*){name}(\W*)$", rf"\1{words}\2", text)
    return text


def _condensed(box: str) -> str:
    """The first part of tyro's box, and the first suggestion where there is one."""
    lines = box.splitlines()
    boxed = [line for line in lines if line.startswith("│")]
    # where boxes cannot be printed, a title and a rule come first
    inner = [line.strip("│ ") for line in boxed or lines[2:]]
    ruler = next((i for i, line in enumerate(inner) if set(line) in ({"─"}, {"-"})), len(inner))
    first = [line for line in inner[:ruler] if line]
    text = " ".join(first[: first.index("Got errors:")] if "Got errors:" in first else first)
    after = inner[ruler + 1 : ruler + 3]
    if after and after[0].startswith("Perhaps you meant"):
        # an option may have a short name too, as in "-o, --output DIR": the longest is the clearest
        names = [word.rstrip(",") for word in after[-1].split() if word.startswith("-")]
        text += f"; perhaps you meant {max(names, key=len, default=after[-1].split()[0])}"
    text = re.sub(
        r"Missing value for argument '(-\S+)'\. Expected 1 values\.", r"\1 needs a value", text
    )
    text = re.sub(
        r"Missing value for argument '(\S+)'\. Expected 1 values\.", r"\1 is missing", text
    )
    # the name of a group or class says nothing to a person
    return re.sub(r"^Error parsing \w+: ", "", text) or box.strip()


def flags_from(settings: Sequence[str]) -> list[str]:
    """Settings such as "weight=9" as the words of a command line: --weight 9.

    Raises:
        ValueError: one is not written so.
    """
    for setting in settings:
        if not setting.partition("=")[2]:
            raise ValueError(f"expected FLAG=VALUE, such as noise=gaussian:0.1, got {setting!r}")
    return [w for s in settings for w in (f"--{s.partition('=')[0]}", s.partition("=")[2])]


def taken(args: Sequence[str], flag: str) -> tuple[str | None, list[str]]:
    """The value of a flag that decides which other flags there are, and the other arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument(flag, dest="value", nargs="?")
    found, rest = parser.parse_known_args(list(args))
    return found.value, rest


def look_up(table: Mapping[str, T], kind: str, name: str) -> T:
    """An entry of a table.

    Raises:
        ValueError: there is none; the message suggests the nearest name.
    """
    if name not in table:
        raise ValueError(unknown(kind, name, table))
    return table[name]
