"""The training of a segmentation network on pictures with label maps."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from undegrade.core.image import Image
from undegrade.core.ranges import COUNT, Range, check_ranges
from undegrade.files.checkpoint import (
    checkpoint_path,
    keep_newest,
    newest_checkpoint,
    save_checkpoint,
)
from undegrade.files.labels import labelled_pictures, read_labels
from undegrade.files.picture import read_image
from undegrade.files.tables import append_row
from undegrade.learned.autocast_cell import Precision, computing_dtype
from undegrade.metrics.overlap import confusion, mean_overlap
from undegrade.networks.segmentation import SegmentationNetwork, SegmentationNetworkSettings
from undegrade.restorers.segmentation_file import save_segmentation
from undegrade.training.denormals import flushing_thread

CAMVID = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian",
    "cyclist",
)  # fmt: skip
_RARE = 1.1  # weight 1/ln(1.1 + share): rare classes count four times as much as common ones
_NOISE = 0.05  # largest deviation of the noise on half of the pictures, which makes it robust
_SIDE = 16  # crops are multiples of the coarsest level's pixels


@final
@dataclass(frozen=True, kw_only=True)
class SegmentationSettings:
    """Train a segmentation network on folders of pictures X.jpg with label maps X_label.png.

    Writes `weights.safetensors` (the moving average), `curve.csv` and checkpoints to `output`, and
    goes on from the newest checkpoint there. Numbers of classes that have no name are ignored.

    Arguments:
        images: folders to train on.
        output: folder for what is written.
        classes: names of the classes 0, 1, …; by default those of CamVid.
        widths: channels of the four levels, the finest first.
        validate: folder for the validation curve; none without.
        iterations: length of the training.
        batch: pictures per step.
        crop: height and width of the crops.
        learning_rate: highest step size (of AdamW), which falls to 0 along a cosine.
        weight_decay: relative to the step size.
        average: decay of the moving average of the weights.
        precision: of the network: float32, bfloat16, or auto, which takes bfloat16 where the
            device is made for it.
        seed: decides everything that is drawn.
        save_every: iterations between checkpoints.
        seconds: stop (and save) after this time, to be continued; 0 means never.

    Raises:
        ValueError: a number out of its range.
    """

    images: tuple[Path, ...]
    output: Path
    classes: tuple[str, ...] = CAMVID
    widths: tuple[int, int, int, int] = (32, 64, 96, 112)
    validate: Path | None = None
    iterations: Annotated[int, COUNT] = 6000
    batch: Annotated[int, Range(1, 100_000)] = 8
    crop: Annotated[tuple[int, int], Range(1, 100_000)] = (144, 192)
    learning_rate: Annotated[float, Range(0, 10)] = 2e-3
    weight_decay: Annotated[float, Range(0, 100)] = 0.03
    average: Annotated[float, Range(0, 1)] = 0.998
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: int = 0
    save_every: Annotated[int, COUNT] = 500
    seconds: Annotated[float, Range(0, 1e9)] = 0.0

    def __post_init__(self) -> None:
        check_ranges(self)


class Labelled(NamedTuple):
    """Pictures of one size in 8 bits, (n 3 h w), and the class of every pixel, (n h w)."""

    pictures: Tensor
    labels: Tensor


class SegmentationProgress(NamedTuple):
    """What an observer of the training sees after every iteration."""

    iteration: int
    loss: Tensor
    overlap: float | None


def train_segmentation(
    settings: SegmentationSettings, watch: Sequence[Callable[[SegmentationProgress], None]] = ()
) -> Path:
    """Train, or go on training, and return where the weights are.

    Raises:
        ValueError: settings that make no sense, pictures that are missing or of several sizes.
    """
    with flushing_thread() as thread:
        run = thread.submit(_Run, settings).result()
        began = time.monotonic()
        while run.iteration < settings.iterations:
            loss = thread.submit(run.update).result()
            late = 0 < settings.seconds <= time.monotonic() - began
            last = late or run.iteration == settings.iterations
            saves = last or run.iteration % settings.save_every == 0
            overlap = thread.submit(run.save).result() if saves else None
            for observer in watch:
                observer(SegmentationProgress(run.iteration, loss, overlap))
            if last:
                break
    return settings.output / "weights.safetensors"


def read_labelled(folders: Sequence[Path]) -> Labelled:
    """All pictures with label maps below the folders.

    Raises:
        ValueError: there is none, or they have different sizes.
    """
    pairs = [pair for folder in folders for pair in labelled_pictures(folder)]
    pictures = [(255 * read_image(path)).round().byte().expand(1, 3, -1, -1) for path, _ in pairs]
    labels = [read_labels(path) for _, path in pairs]
    sizes = {tuple(t.shape[-2:]) for t in (*pictures, *labels)}
    if len(sizes) != 1:
        raise ValueError(f"expected pictures and label maps of one size, got {sorted(sizes)}")
    return Labelled(torch.cat(pictures), torch.cat(labels))


@torch.no_grad()
def overlap_of(network: SegmentationNetwork, data: Labelled, batch: int = 8) -> float:
    """Mean intersection over union of the classes, over all pictures together."""
    counts = torch.zeros((), dtype=torch.long)
    for pictures, labels in zip(data.pictures.split(batch), data.labels.split(batch), strict=True):
        found = network(pictures / 255).argmax(1)
        counts = counts + confusion(found, labels, len(network.settings.classes))
    return mean_overlap(counts)


@final
class _Run:
    """Everything that changes in a training, and one update."""

    def __init__(self, settings: SegmentationSettings) -> None:
        self.settings, self.iteration, self.losses = settings, 0, list[Tensor]()
        self.data = read_labelled(settings.images)
        self.held_out = None if settings.validate is None else read_labelled((settings.validate,))
        form = SegmentationNetworkSettings(classes=settings.classes, widths=settings.widths)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.network = form.build()
        self.network.colors.copy_(_mean_colors(self.data, len(settings.classes)))
        self.network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.average = copy.deepcopy(self.network).eval()
        self.weights = _class_weights(self.data.labels, len(settings.classes))
        self.steps = torch.optim.AdamW(
            self.network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.dtype = computing_dtype(_precision(settings.precision), torch.device("cpu"))
        checkpoint, _ = newest_checkpoint(settings.output, None)
        if checkpoint is not None:
            self._restore(checkpoint)

    def update(self) -> Tensor:
        """One step of the optimizer; the loss."""
        for group in self.steps.param_groups:
            group["lr"] = self.settings.learning_rate * _factor(self.settings, self.iteration)
        self.iteration += 1
        x, labels = self._drawn()
        with torch.autocast("cpu", self.dtype, enabled=self.dtype != torch.float32):
            scores = self.network.coarse(x.contiguous(memory_format=torch.channels_last))
        # half of the rows and columns of the labels, any half: the network's grid is between them
        row, column = torch.randint(2, (2,), generator=self.generator).tolist()
        labels = labels[:, row::2, column::2]
        loss = functional.cross_entropy(
            scores.float(), labels, self.weights, ignore_index=len(self.settings.classes)
        )
        self.steps.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.steps.step()
        self._follow()
        self.losses.append(loss.detach())
        return loss.detach()

    def save(self) -> float | None:
        """Validate the average, and write checkpoint, weights and one line of the curve."""
        settings, output = self.settings, self.settings.output
        overlap = None if self.held_out is None else overlap_of(self.average, self.held_out)
        save_checkpoint(checkpoint_path(output, self.iteration), self._content())
        keep_newest(output, 2)
        about = {
            "data": ", ".join(folder.name for folder in settings.images),
            "iteration": str(self.iteration),
            "seed": str(settings.seed),
        }
        save_segmentation(output / "weights.safetensors", self.average, about)
        loss = float(torch.stack(self.losses).mean())
        self.losses.clear()
        values = {} if overlap is None else {"overlap": overlap}
        append_row(output / "curve.csv", {"iteration": self.iteration, "loss": loss, **values})
        return overlap

    def _drawn(self) -> tuple[Image, Tensor]:
        """Pictures turned, scaled, cropped, recolored and noisy at random, with their labels."""
        count, generator = self.settings.batch, self.generator
        which = torch.randint(len(self.data.labels), (count,), generator=generator)
        x, labels = self.data.pictures[which] / 255, self.data.labels[which]
        void = len(self.settings.classes)
        labels = torch.where(labels < void, labels, void)
        return varied(x, labels, self.settings.crop, void, generator)

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(self.settings.average, (1 + self.iteration) / (10 + self.iteration))
        new = self.network.state_dict()
        for name, old in self.average.state_dict().items():
            if old.is_floating_point():
                old.lerp_(new[name], 1 - decay)

    def _content(self) -> dict[str, Any]:
        return {
            "iteration": self.iteration,
            "model": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.steps.state_dict(),
            "generator": self.generator.get_state(),
        }

    def _restore(self, content: dict[str, Any]) -> None:
        self.iteration = content["iteration"]
        self.network.load_state_dict(content["model"])
        self.average.load_state_dict(content["average"])
        self.steps.load_state_dict(content["optimizer"])
        self.generator.set_state(content["generator"])


def varied(
    x: Image,
    labels: Int[Tensor, "b h w"],
    size: tuple[int, int],
    void: int,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "b 3 ch cw"], Int[Tensor, "b ch cw"]]:
    """A random part of each picture, mirrored, scaled, recolored, noisy; outside is void."""
    count, (rows, columns) = len(x), (n // _SIDE * _SIDE for n in size)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    # parts of the picture that a pixel of the crop spans: from 0.6 to 1.5 times as large as it is
    zoom = torch.exp(uniform(math.log(0.6), math.log(1.5)))
    mirrored = 1 - 2 * torch.randint(2, (count,), generator=generator)
    span = torch.stack((columns / x.shape[-1] * zoom, rows / x.shape[-2] * zoom), 1)
    middle = (1 - span).clamp(min=0.1) * uniform(-1.0, 1.0, 2)
    affine = torch.zeros(count, 2, 3)
    affine[:, 0, 0], affine[:, 1, 1], affine[:, :, 2] = span[:, 0] * mirrored, span[:, 1], middle
    grid = functional.affine_grid(affine, [count, 3, rows, columns], align_corners=False)
    cut = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    shifted = labels[:, None].float() - void  # zero outside
    near = functional.grid_sample(shifted, grid, mode="nearest", align_corners=False)
    power, gain = torch.exp(uniform(-0.4, 0.4, 1, 1, 1)), torch.exp(uniform(-0.25, 0.25, 3, 1, 1))
    bright = cut.clamp(min=1e-3) ** power * gain
    std = uniform(-_NOISE, _NOISE, 1, 1, 1).clamp(min=0)
    noisy = bright + std * torch.randn(bright.shape, generator=generator)
    return noisy.clamp(0, 1), (near[:, 0] + void).round().long()


def _mean_colors(data: Labelled, classes: int) -> Tensor:
    rows = [
        (data.pictures.permute(0, 2, 3, 1)[data.labels == k].float() / 255).mean(0)
        for k in range(classes)
    ]
    return torch.stack(rows).nan_to_num(0.5)


def _class_weights(labels: Tensor, classes: int) -> Tensor:
    """1/ln(1.1 + share of the pixels), after Paszke et al., ENet (2016), section 5.1."""
    counts = torch.bincount(labels.flatten(), minlength=classes)[:classes].float()
    weights = 1 / (_RARE + counts / counts.sum()).log()
    return weights / (weights * counts / counts.sum()).sum()


def _factor(settings: SegmentationSettings, iteration: int) -> float:
    """A short rise, then half a cosine."""
    rise = min(1.0, (iteration + 1) / 200)  # AdamW's moments need so long
    return rise * 0.5 * (1 + math.cos(math.pi * iteration / settings.iterations))


def _precision(name: Literal["auto", "float32", "bfloat16"]) -> Precision:
    return name
