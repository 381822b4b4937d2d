"""A small network that tells what is where: one score per class and pixel."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 4  # halvings of the picture; at 240×180 the coarsest level still has 15×12 pixels


@final
@dataclass(frozen=True, kw_only=True)
class SegmentationNetworkSettings:
    """What rebuilds a `SegmentationNetwork`.

    Arguments:
        classes: names of the classes, in the order of their numbers.
        widths: channels of the four levels, the finest first.
        blocks: residual blocks of each level.
        neck: channels of the way back.

    Raises:
        ValueError: fewer than two classes, or other than four positive widths and counts of blocks.
    """

    classes: tuple[str, ...]
    widths: tuple[int, ...] = (32, 64, 96, 112)
    blocks: tuple[int, ...] = (1, 1, 2, 1)
    neck: int = 48

    def __post_init__(self) -> None:
        numbers = (*self.widths, *self.blocks, self.neck)
        if len(self.classes) < 2 or {len(self.widths), len(self.blocks)} != {_LEVELS}:
            raise ValueError(
                f"expected two classes or more, and {_LEVELS} widths and numbers of blocks, got "
                f"{self.classes}, {self.widths} and {self.blocks}"
            )
        if min(numbers) < 1:
            raise ValueError(f"expected widths and numbers of blocks above 0, got {numbers}")

    def build(self) -> "SegmentationNetwork":
        """The network, with weights drawn from torch's global generator."""
        return SegmentationNetwork(self)


@final
class SegmentationNetwork(nn.Module):
    """Pictures (b, 3, h, w) in [0, 1] ↦ scores (b, classes, h, w); softmax makes probabilities.

    Four levels of residual blocks, each half as large as the one before; what the whole picture
    shows is added to the coarsest; back by bilinear interpolation, with the levels added on the
    way. The scores are computed at half size. Of any height and width from 16 pixels on.

    References:
        He et al., Deep residual learning for image recognition (2016); Lin et al., Feature pyramid
        networks for object detection (2017).

    Arguments:
        settings: its classes and widths.
    """

    colors: Tensor  # mean color of each class in the training pictures, (classes, 3)

    def __init__(self, settings: SegmentationNetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        widths = (3, *settings.widths)
        self.levels = nn.ModuleList(
            nn.Sequential(_convolution(before, width, 2), *(_Block(width) for _ in range(count)))
            for before, width, count in zip(widths[:-1], widths[1:], settings.blocks, strict=True)
        )
        neck = settings.neck
        self.everywhere = nn.Linear(widths[-1], neck)
        self.sideways = nn.ModuleList(nn.Conv2d(width, neck, 1) for width in settings.widths)
        self.back = nn.ModuleList(_convolution(neck, neck, 1) for _ in settings.widths)
        self.head = nn.Conv2d(neck, len(settings.classes), 1)
        self.register_buffer("colors", torch.full((len(settings.classes), 3), 0.5))

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes h w"]:
        return _resized(self.coarse(x), x.shape[-2:])

    def coarse(self, x: Float[Tensor, "b 3 h w"]) -> Tensor:
        """The scores as they are computed, (b, classes, ⌈h/2⌉, ⌈w/2⌉)."""
        found = list[Tensor]()
        x = 4 * x - 2  # about zero mean and unit variance
        for level in self.levels:
            x = level(x)
            found.append(x)
        up = self.everywhere(x.mean((2, 3)))[..., None, None]
        for side, back, level in zip(
            reversed(self.sideways), reversed(self.back), reversed(found), strict=True
        ):
            here = side(level)
            up = back(here + _resized(up, here.shape[-2:]))
        return self.head(up)


@final
class _Block(nn.Module):
    """x + two convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _convolution(width, width, 1)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.norm(self.second(self.first(x))))


def _convolution(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


def _resized(x: Tensor, size: torch.Size) -> Tensor:
    if x.shape[-2:] == (1, 1):
        return x
    return functional.interpolate(x, (size[0], size[1]), mode="bilinear", align_corners=False)
