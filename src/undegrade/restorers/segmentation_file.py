"""Weight files of segmentation networks."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from undegrade.files.atomic import replacing
from undegrade.networks.segmentation import SegmentationNetwork, SegmentationNetworkSettings
from undegrade.operators.function import Function
from undegrade.operators.mean_colors import MeanColors

SHIPPED = Path(__file__).parent / "weights" / "segmentation.safetensors"
"""What `load_segmentation` reads: street scenes in the eleven classes of CamVid."""

FORMAT = "undegrade segmentation network 1"


def save_segmentation(path: Path, network: SegmentationNetwork, about: Mapping[str, str]) -> None:
    """Write the weights in half precision, how to rebuild the network, and `about`."""
    tensors = {
        name: (t.half() if t.is_floating_point() else t).detach().cpu().contiguous()
        for name, t in network.state_dict().items()
    }
    settings = json.dumps(vars(network.settings))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(save(tensors, {**about, "format": FORMAT, "settings": settings}))


def load_segmentation(path: Path = SHIPPED) -> SegmentationNetwork:
    """The network in float32 on the CPU, frozen; the shipped one where no file is given.

    Raises:
        ValueError: the file is missing, truncated, or of something else.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a readable file of weights: {error}") from error
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path} holds no weights of a segmentation network of undegrade")
    try:
        fields = json.loads(metadata["settings"])
        names = tuple(str(name) for name in fields["classes"])
        widths, blocks = (tuple(int(n) for n in fields[key]) for key in ("widths", "blocks"))
        settings = SegmentationNetworkSettings(
            classes=names, widths=widths, blocks=blocks, neck=int(fields["neck"])
        )
        with torch.device("meta"):  # what the file says may be of any size
            network = settings.build()
        full = {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}
        network.load_state_dict(full, assign=True)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"the weights in {path} fit no segmentation network") from error
    return network.eval().requires_grad_(False)


def segmentation_operator(network: SegmentationNetwork) -> Function:
    """The network as a degradation of pictures to scores, with mean colors as its `initial`."""
    return Function(network, MeanColors(network.colors))
