"""Files from which a training or a solver goes on: whole or not there, and checked when read."""

import hashlib
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from undegrade.core.image import PerSample
from undegrade.core.solver import Observer
from undegrade.core.stopping import State
from undegrade.files.atomic import replacing
from undegrade.files.complaint import in_short

_MAGIC = b"undegrade checkpoint 1\n"
_DIGEST = hashlib.sha256().digest_size

T = TypeVar("T")


def save_checkpoint(path: Path, content: object) -> None:
    """Write tensors, numbers and text in dictionaries, lists, tuples and records (dataclasses).

    Modules stand in the equation and are left out. The file appears at once and complete, or not
    at all.

    Raises:
        OSError: the file cannot be written.
        ValueError: something of another kind.
    """
    buffer = io.BytesIO()
    torch.save(_plain(content), buffer)
    payload = buffer.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(_MAGIC + hashlib.sha256(payload).digest() + payload)


def load_checkpoint(path: Path, example: T) -> T:
    """What `save_checkpoint` wrote, in the form and on the devices of an example.

    Every part must be of the type, shape and dtype that it has in the example, and text the same.
    Where the example has None or an empty dictionary, anything will do; where it has a tensor of no
    rows, any number of rows but none. Modules come from the example.

    Raises:
        OSError: there is no such file, or it cannot be opened.
        ValueError: another kind of file, one that is truncated or altered, or other content.
    """
    data = path.read_bytes()
    start = len(_MAGIC) + _DIGEST
    if not data.startswith(_MAGIC):
        raise ValueError(f"{path} is not a checkpoint of undegrade")
    payload = data[start:]
    if hashlib.sha256(payload).digest() != data[len(_MAGIC) : start]:
        raise ValueError(f"{path} is damaged: its hash does not fit its content")
    try:
        content = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # torch meets a damaged archive with any exception whatever
        raise ValueError(f"{path} is damaged: torch cannot read its content") from error
    try:
        return cast(T, _like(example, content, "content"))
    except ValueError as error:
        raise ValueError(
            f"{path} is another checkpoint than expected: {in_short(error)}"
        ) from error


def checkpoint_path(folder: Path, iteration: int) -> Path:
    """Where the checkpoint of an iteration lies."""
    return folder / f"checkpoint-{iteration:09d}.pt"


def newest_checkpoint(folder: Path, example: T) -> tuple[T | None, tuple[str, ...]]:
    """The newest checkpoint that is whole, and why newer ones were passed over; None for none.

    Raises:
        ValueError: there are checkpoints, and none can be used.
    """
    complaints = list[str]()
    for path in sorted(folder.glob("checkpoint-*.pt"), reverse=True):
        try:
            return load_checkpoint(path, example), tuple(complaints)
        except (ValueError, OSError) as error:
            complaints.append(str(error))
    if complaints:
        raise ValueError(f"{complaints[0]}; no other can be used: remove them to begin anew")
    return None, ()


def keep_newest(folder: Path, count: int) -> None:
    """Delete all checkpoints but the newest `count`."""
    for path in sorted(folder.glob("checkpoint-*.pt"))[:-count]:
        path.unlink()


def checkpoints(path: Path, seconds: float) -> Observer:
    """An observer that writes `{"iteration": …, "state": …}`, at most once in so many seconds.

    To go on, load it with the example `{"iteration": 0, "state": solver.init(problem, x0)}`, or
    that of a later state where the method gathers parts on its way, as L-BFGS does.
    """
    last = time.monotonic()

    def observe(iteration: int, state: State) -> Mapping[str, PerSample]:
        nonlocal last
        if time.monotonic() - last >= seconds:
            save_checkpoint(path, {"iteration": iteration, "state": state})
            last = time.monotonic()
        return {}

    return observe


def _parts(value: object) -> dict[Any, Any] | None:
    """The parts of a container by name or place; None for a leaf."""
    if is_dataclass(value):
        return {field.name: vars(value)[field.name] for field in fields(value)}
    if isinstance(value, dict):
        return cast("dict[Any, Any]", value)
    if type(value) in (list, tuple):
        return dict(enumerate(cast("Sequence[Any]", value)))
    return cast(Any, value)._asdict() if isinstance(value, tuple) else None


def _plain(value: object) -> object:
    """Dictionaries and lists of leaves, which torch reads without running anything."""
    if type(value) in (list, tuple):
        return [_plain(part) for part in cast("list[object]", value)]
    parts = _parts(value)
    if parts is not None:
        return {key: _plain(part) for key, part in parts.items() if not isinstance(part, nn.Module)}
    if value is not None and not isinstance(value, Tensor | bool | int | float | str):
        raise ValueError(f"a checkpoint has no place for a {type(value).__name__}")
    return value.detach() if isinstance(value, Tensor) else value


def _like(example: object, content: object, at: str) -> object:
    """The content in the form of the example."""
    parts = _parts(example)
    if parts is None:
        return _leaf(example, content, at)
    found = _parts(content)
    if found is None:
        raise ValueError(f"{at} has no parts")
    if example == {}:
        return content
    expected = {key for key, part in parts.items() if not isinstance(part, nn.Module)}
    if found.keys() != expected:
        names = sorted(map(str, expected ^ found.keys()))
        raise ValueError(f"{at} lacks or has too much: {', '.join(names)[:100]}")
    made = {
        key: _like(part, found[key], f"{at}.{key}") if key in expected else part
        for key, part in parts.items()
    }
    return _assembled(example, made)


def _assembled(example: Any, parts: dict[Any, Any]) -> object:
    if is_dataclass(example) and not isinstance(example, type):
        return replace(example, **parts)
    if isinstance(example, dict):
        return parts
    values, kind = list(parts.values()), cast("type[Any]", type(example))
    return values if kind is list else tuple(values) if kind is tuple else kind(*values)


def _leaf(example: object, content: object, at: str) -> object:
    if example is None:
        return content
    if isinstance(example, Tensor) and isinstance(content, Tensor):
        growing = example.shape[:1] == (0,) and content.ndim > 0
        shape = content[:0].shape if growing else content.shape
        if (example.shape, example.dtype) == (shape, content.dtype) and content.shape[:1] != (0,):
            return content.to(example.device)
        raise ValueError(
            f"{at} is {content.dtype} of {tuple(content.shape)}, "
            f"expected {example.dtype} of {tuple(example.shape)}"
        )
    if isinstance(example, str) and example != content:
        raise ValueError(f"{at} is {str(content)[:200]!r}, expected {example[:200]!r}")
    if type(example) is not type(content):
        raise ValueError(f"{at} is of the type {type(content).__name__}, "
                         f"expected {type(example).__name__}")  # fmt: skip
    return content
