"""`undegrade synthesize LABELS`: a picture whose segmentation is the given label map."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

import torch
from jaxtyping import Int
from torch import Tensor
from tyro import conf

from undegrade.cli.parsing import parse
from undegrade.cli.progress import Bar
from undegrade.core.image import Image, PerSample
from undegrade.core.measurement import Measurement
from undegrade.core.stopping import State
from undegrade.experiments.experiment import Outcome, Piece
from undegrade.experiments.page import write_page
from undegrade.files.atomic import appearing_in
from undegrade.files.labels import read_labels, write_labels
from undegrade.files.picture import write_image
from undegrade.likelihoods.categorical import Categorical
from undegrade.metrics.overlap import accuracy, confusion
from undegrade.networks.segmentation import SegmentationNetwork
from undegrade.restorers.segmentation_file import (
    SHIPPED,
    load_segmentation,
    segmentation_operator,
)
from undegrade.restorers.synthesis import Synthesis

_SMOOTHING = 0.05  # of the labels: scores need not grow without end
_FEWEST, _MOST = 16, 2**22  # rows and columns that the network takes; pixels that memory takes


@final
@dataclass(frozen=True, kw_only=True)
class Synthesize:
    """Make a picture that a segmentation network sees as a label map.

    Writes NAME-synthesized.png, NAME-segmentation.png (how the network segments the picture) and
    NAME.html to the output folder.

    Arguments:
        labels: a gray or palette picture whose values are the numbers of classes; other numbers
            are of no class.
        output: folder for what is written.
        weights: a file that `train-segmentation` wrote; by default street scenes in the eleven
            classes of CamVid (sky 0, building, pole, road, pavement, tree, sign, fence, car,
            pedestrian, cyclist 10).
        other: weights of a second network that is asked what it sees.
        seed: decides views and noise; another seed makes another picture.
        stages: moves of the picture; fewer are quicker and flatter.
    """

    labels: Annotated[Path, conf.Positional, conf.arg(metavar="LABELS")]
    output: Annotated[Path, conf.arg(metavar="DIR", aliases=["-o"])] = Path("synthesized")
    weights: Path = SHIPPED
    other: Path | None = None
    seed: int = 0
    stages: int = 16


def run(args: Sequence[str]) -> int:
    """Parse the arguments and synthesize."""
    command = parse(Synthesize, "synthesize", args)
    for line in synthesize(command):
        sys.stdout.write(f"{line}\n")
    return 0


def synthesize(command: Synthesize) -> list[str]:
    """Make the picture and write everything; what is to be said.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: the label map has no pixel of a class, or a size that the network does not take.
    """
    method = Synthesis(stages=command.stages, seed=command.seed)
    network = load_segmentation(command.weights)
    other = None if command.other is None else load_segmentation(command.other)
    labels = _readable(command.labels, network)
    x, curves = _made(method, network, labels)
    found = {"the network": network} | ({} if other is None else {"a second network": other})
    row = {"label map": command.labels.name} | {
        name: f"{100 * _agreement(asked, x, labels):.1f} % of the pixels as asked"
        for name, asked in found.items()
    }
    again = _segmented(network, x)
    pictures = {
        "label map": _colored(network, labels),
        "synthesized": x,
        "segmented again": _colored(network, again),
    }
    outcome = Outcome(row=row, curves=curves, pictures=pictures)
    return _written(command, outcome, again)


def _readable(path: Path, network: SegmentationNetwork) -> Int[Tensor, "1 h w"]:
    labels, names = read_labels(path), network.settings.classes
    rows, columns = labels.shape[-2:]
    if min(rows, columns) < _FEWEST or rows * columns > _MOST:
        raise ValueError(
            f"a label map has {_FEWEST} rows and columns or more and at most {_MOST} pixels; "
            f"{path} has {rows} rows and {columns} columns"
        )
    if not bool((labels < len(names)).any()):
        raise ValueError(
            f"no pixel of {path} has the number of a class, 0 to {len(names) - 1} "
            f"({', '.join(names)}); its lowest is {int(labels.min())}"
        )
    return labels


def _made(
    method: Synthesis, network: SegmentationNetwork, labels: Int[Tensor, "1 h w"]
) -> tuple[Image, Mapping[str, Sequence[tuple[int, float]]]]:
    """The picture, and cross-entropy and agreement by the stage."""
    likelihood = Categorical(smoothing=_SMOOTHING)
    measurement = Measurement(labels[:, None].float(), segmentation_operator(network), likelihood)
    with Bar(method.stages + 1) as bar:
        bar.begin("synthesizing")

        def watch(iteration: int, state: State) -> Mapping[str, PerSample]:
            bar.show(iteration, f"stage {iteration}")
            with torch.no_grad():
                cost = Categorical()(network(state.x), measurement.y) / labels[0].numel()
            agreement = cost.new_tensor([100 * _agreement(network, state.x, labels)])
            return {"cross-entropy of a pixel": cost, "pixels as asked, per cent": agreement}

        result = method.restore(measurement, observe=[watch])
    names = [name for name in result.trace[-1].values if name != "residual"]
    return result.x, {n: [(r.iteration, float(r.values[n])) for r in result.trace] for n in names}


def _written(command: Synthesize, outcome: Outcome, again: Int[Tensor, "1 h w"]) -> list[str]:
    stem = command.labels.stem
    piece = Piece(table="Synthesis", name=stem, run=lambda _: outcome)
    names = [f"{stem}-synthesized.png", f"{stem}-segmentation.png", f"{stem}.html"]
    said = [f"{name}: {cell}" for name, cell in outcome.row.items() if name != "label map"]
    with appearing_in(command.output) as folder:
        write_image(folder / names[0], outcome.pictures["synthesized"])
        write_labels(folder / names[1], again)
        write_page(folder / names[2], f"A picture of {stem}", [(piece, outcome)], said)
    return [str(command.output / name) for name in names] + said


@torch.no_grad()
def _segmented(network: SegmentationNetwork, x: Image) -> Int[Tensor, "1 h w"]:
    return network(x).argmax(1)


def _agreement(network: SegmentationNetwork, x: Image, labels: Int[Tensor, "1 h w"]) -> float:
    return accuracy(confusion(_segmented(network, x), labels, len(network.settings.classes)))


def _colored(network: SegmentationNetwork, labels: Int[Tensor, "1 h w"]) -> Image:
    """Every class in a color that tells it from the others; what is none in black."""
    count = len(network.settings.classes)
    angles = torch.arange(count) * 2.39996  # the golden angle: neighbors in number lie far apart
    wheel = 0.5 + 0.45 * torch.stack([(angles + turn).cos() for turn in (0.0, 2.1, 4.2)], 1)
    palette = torch.cat((wheel, torch.zeros(1, 3)))
    return palette[labels.clamp(max=count)].movedim(-1, 1)
