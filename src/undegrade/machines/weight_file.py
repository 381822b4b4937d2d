"""Weight files of recurrent inference machines: safetensors that say what they are."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from undegrade.files.atomic import replacing
from undegrade.learned.rim import RIM
from undegrade.machines import weight_format_1
from undegrade.machines.architecture import (
    Architecture,
    architecture_from_json,
    architecture_to_json,
)

FORMAT = "undegrade recurrent inference machine 2"
CONVENTION = "images in [0, 1]; features in image units; noise as standard deviation"


def save_weights(
    path: Path,
    rim: RIM,
    architecture: Architecture,
    about: Mapping[str, str],
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write the weights, how to rebuild the machine, and `about` (data, settings) beside them."""
    tensors = {
        name: t.detach().to("cpu", dtype).contiguous()
        for name, t in sorted(rim.state_dict().items())
    }
    metadata = {
        **about,
        "format": FORMAT,
        "convention": CONVENTION,
        "architecture": architecture_to_json(architecture),
        "sha256": digest(tensors),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(_sorted(save(tensors, metadata)))


def load_weights(path: Path) -> tuple[RIM, Architecture, dict[str, str]]:
    """The machine in float32 on the CPU, its architecture, and what its file says about it.

    Files of format 1 are read too.

    Raises:
        ValueError: a file that is missing, truncated, altered, or of something else.
    """
    tensors, metadata = _read(path)
    if metadata.get("sha256") != digest(tensors):
        raise ValueError(f"{path} is damaged: its hash does not fit its weights")
    try:
        architecture, tensors = _understood(tensors, metadata)
    except ValueError as error:
        raise ValueError(f"the weights in {path} are of no machine: {error}") from error
    with torch.device("meta"):  # what the file says may be of any size: it must fit before it costs
        rim = architecture.build()
    try:
        rim.load_state_dict({name: t.float() for name, t in tensors.items()}, assign=True)
    except RuntimeError as error:
        raise ValueError(f"the weights in {path} do not fit the machine that it names") from error
    return rim.eval(), architecture, metadata


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, shapes, types and values, in the order of the names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        t = tensors[name]
        total.update(f"{name} {tuple(t.shape)} {t.dtype}\n".encode())
        total.update(t.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def _sorted(data: bytes) -> bytes:
    """The same file with its header in order: safetensors writes metadata as they fall."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:start]), sort_keys=True, separators=(",", ":"))
    text = header.encode().ljust(start - 8)
    return len(text).to_bytes(8, "little") + text + data[start:]


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a readable file of weights: {error}") from error
    known = (FORMAT, CONVENTION), (weight_format_1.FORMAT, weight_format_1.CONVENTION)
    if (metadata.get("format"), metadata.get("convention")) not in known:
        raise ValueError(f"{path} holds no weights of a recurrent inference machine of undegrade")
    return tensors, metadata


def _understood(
    tensors: dict[str, Tensor], metadata: Mapping[str, str]
) -> tuple[Architecture, dict[str, Tensor]]:
    if metadata["format"] == FORMAT:
        return architecture_from_json(metadata.get("architecture", "")), tensors
    design = metadata.get("design", "")
    architecture = weight_format_1.read_design(design)
    return architecture, weight_format_1.renamed(tensors, design, architecture.colors)
