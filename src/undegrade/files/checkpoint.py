"""Files from which a training goes on: whole or not there, and never trusted unread."""

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

_MAGIC = b"undegrade checkpoint 1\n"
_DIGEST = hashlib.sha256().digest_size


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write numbers, strings and tensors; the file appears at once and complete, or not at all."""
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    payload = buffer.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        file.write(_MAGIC + hashlib.sha256(payload).digest() + payload)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote, on the CPU.

    Raises:
        ValueError: another kind of file, or one that is truncated or altered.
    """
    data = path.read_bytes()
    start = len(_MAGIC) + _DIGEST
    if not data.startswith(_MAGIC):
        raise ValueError(f"{path} is not a checkpoint of undegrade")
    payload = data[start:]
    if hashlib.sha256(payload).digest() != data[len(_MAGIC) : start]:
        raise ValueError(f"{path} is damaged: its hash does not fit its content")
    return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)


def checkpoint_path(folder: Path, iteration: int) -> Path:
    """Where the checkpoint of an iteration lies."""
    return folder / f"checkpoint-{iteration:09d}.pt"


def newest_checkpoint(folder: Path) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """The newest checkpoint that is whole, or None; and why newer ones were passed over."""
    complaints = list[str]()
    for path in sorted(folder.glob("checkpoint-*.pt"), reverse=True):
        try:
            return load_checkpoint(path), tuple(complaints)
        except (ValueError, OSError) as error:
            complaints.append(str(error))
    return None, tuple(complaints)


def keep_newest(folder: Path, count: int) -> None:
    """Delete all checkpoints but the newest `count`."""
    for path in sorted(folder.glob("checkpoint-*.pt"))[:-count]:
        path.unlink()
