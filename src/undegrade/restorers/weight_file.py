"""Weight files of recurrent inference machines: safetensors that say what they are."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from undegrade.learned.rim import RIM
from undegrade.restorers.architecture import Design, design_from_json, design_to_json

FORMAT = "undegrade recurrent inference machine 1"
CONVENTION = "images in [0, 1]; evidence in image units; noise as standard deviation"


def save_weights(
    path: Path,
    rim: RIM,
    design: Design,
    about: Mapping[str, str],
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write the weights, how to rebuild the machine, and `about` (data, settings) beside them."""
    tensors = {name: t.detach().to("cpu", dtype).contiguous() for name, t in _parameters(rim)}
    metadata = {
        **about,
        "format": FORMAT,
        "convention": CONVENTION,
        "design": design_to_json(design),
        "sha256": digest(tensors),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    save_file(tensors, temporary, metadata)
    temporary.replace(path)


def rebuilt(rim: RIM, design: Design) -> RIM:
    """The same weights in a machine of another design, such as one of other steps."""
    other = design.build()
    other.load_state_dict(rim.state_dict())
    return other


def load_weights(path: Path) -> tuple[RIM, Design, dict[str, str]]:
    """The machine in float32 on the CPU, its design, and what its file says about it.

    Raises:
        ValueError: a file that is missing, truncated, altered, or of something else.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a readable file of weights: {error}") from error
    if metadata.get("format") != FORMAT or metadata.get("convention") != CONVENTION:
        raise ValueError(f"{path} holds no weights of a recurrent inference machine of undegrade")
    if metadata.get("sha256") != digest(tensors):
        raise ValueError(f"{path} is damaged: its hash does not fit its weights")
    design = design_from_json(metadata["design"])
    rim = design.build()
    try:
        rim.load_state_dict({name: t.float() for name, t in tensors.items()})
    except RuntimeError as error:
        raise ValueError(f"the weights in {path} do not fit the machine that it names") from error
    return rim.eval(), design, metadata


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, shapes, types and values, in the order of the names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        t = tensors[name]
        total.update(f"{name} {tuple(t.shape)} {t.dtype}\n".encode())
        total.update(t.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def _parameters(rim: RIM) -> list[tuple[str, Tensor]]:
    return sorted(rim.state_dict().items())
