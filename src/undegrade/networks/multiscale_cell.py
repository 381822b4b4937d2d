"""Our cell: a small U-shaped network on pixel-unshuffled features."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from undegrade.core.image import round_up
from undegrade.networks.residual_block import convolution, residual_blocks


@final
@dataclass(frozen=True, kw_only=True)
class MultiscaleSettings:
    """Settings of `MultiscaleCell`.

    Good values:
        the defaults: 1.93 M parameters, and a step takes 0.14 s or more for 321×481 in color on a
        core (bfloat16); middle 3: 0.77 M and two thirds of the time, 0.1 dB below.

    Arguments:
        widths: channels at 1/2, 1/4, … of the resolution.
        before: residual blocks on the way down, one number per level but the last.
        middle: residual blocks at the coarsest level.
        after: residual blocks on the way up, as `before`.

    Raises:
        ValueError: `before` or `after` do not fit `widths`; a width below 1, fewer blocks than 0.
    """

    widths: tuple[int, ...] = (64, 96)
    before: tuple[int, ...] = (1,)
    middle: int = 10
    after: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        blocks, levels = (*self.before, self.middle, *self.after), len(self.widths) - 1
        if min(self.widths, default=0) < 1 or min(blocks) < 0:
            raise ValueError(f"expected widths above 0 and blocks of 0 or more, got {self}")
        if len(self.before) != levels or len(self.after) != levels:
            raise ValueError(
                f"expected {levels} numbers of blocks before and after the middle,"
                f" got {self.before} and {self.after}"
            )

    def build(self, features: int, colors: int) -> "MultiscaleCell":
        """The cell, with weights drawn from torch's global generator."""
        return MultiscaleCell(features, colors, self)


@final
class MultiscaleCell(nn.Module):
    """(features, hidden) ↦ (update, hidden): residual blocks at 1/2, 1/4, … of the resolution.

    Pixel-unshuffling by 2 costs nothing and makes every convolution four times cheaper; the
    coarser levels buy a wide view at a quarter of the cost per block again. The hidden state is
    the last feature map at half resolution. Sizes that the levels do not divide are continued by
    replication and cropped again. Fails where the picture is smaller than one block of the
    coarsest level continued (that is, never, but small pictures see mostly padding).

    Arguments:
        features: number of input channels.
        colors: number of channels of the update.
        settings: widths and numbers of blocks.
    """

    def __init__(self, features: int, colors: int, settings: MultiscaleSettings) -> None:
        super().__init__()
        widths, before, after = settings.widths, settings.before, settings.after
        self.divisor, self.stride = 2 ** len(widths), 2
        self.reach = _reach(before, settings.middle, after)
        pairs = list(pairwise(widths))
        self.enter = convolution(4 * features + widths[0], widths[0])
        self.before = nn.ModuleList(map(residual_blocks, widths, before))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairs)
        self.middle = residual_blocks(widths[-1], settings.middle)
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairs)
        self.after = nn.ModuleList(map(residual_blocks, widths, after))
        self.leave = convolution(widths[0], 4 * colors)
        nn.init.zeros_(self.leave.weight)  # training starts from the identity, not from noise

    def forward(self, features: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
        """One step."""
        h, w = features.shape[-2:]
        margin = (0, round_up(w, self.divisor) - w, 0, round_up(h, self.divisor) - h)
        # compiled for a CPU, torch's padding of channels-last features has a wrong backward pass
        whole = functional.pad(features, margin, mode="replicate") if any(margin) else features
        # where convolutions want channels last, they are laid so once, while they are few
        laid = whole.contiguous(memory_format=_format(self.enter.weight))
        u = self._levels(self._entered(functional.pixel_unshuffle(laid, 2), hidden))
        return functional.pixel_shuffle(self.leave(u), 2)[..., :h, :w], u

    def _entered(self, u: Tensor, hidden: Tensor | None) -> Tensor:
        """The first convolution; before the first step the hidden state counts as zeros."""
        seen, remembered = self.enter.weight.tensor_split((u.shape[1],), 1)
        parts = _as_autocast_takes(u)
        inputs, weights = list(parts), [seen] * len(parts)
        if hidden is not None:
            inputs, weights = [*inputs, hidden], [*weights, remembered]
        kernel = torch.cat(weights, 1)
        return functional.conv2d(torch.cat(inputs, 1), kernel, self.enter.bias, padding=1)

    def _levels(self, u: Tensor) -> Tensor:
        skipped = list[Tensor]()
        for blocks, down in zip(self.before, self.down, strict=True):
            u = blocks(u)
            skipped.append(u)
            u = down(u)
        u = self.middle(u)
        for up, blocks in zip(reversed(self.up), reversed(self.after), strict=True):
            u = blocks(up(u) + skipped.pop())
        return u


def _format(weight: Tensor) -> torch.memory_format:
    last = weight.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def _as_autocast_takes(u: Tensor) -> Sequence[Tensor]:
    """Parts that sum to u, but for the square of autocast's rounding error, or u itself.

    Rounded once to bfloat16, light pixels are off by up to half a gray level of 8 bits: 0.3 dB
    where noise is as weak.
    """
    kind = u.device.type
    if u.dtype != torch.float32 or not torch.is_autocast_enabled(kind):
        return (u,)
    rounded = u.detach().to(torch.get_autocast_dtype(kind))
    return rounded, (u - rounded).to(rounded.dtype)


def _reach(before: Sequence[int], middle: int, after: Sequence[int]) -> int:
    """Radius of what an output pixel sees: 3×3 convolutions reach one pixel of their level."""
    levels = [2 * (a + b) for a, b in zip(before, after, strict=True)] + [2 * middle]
    levels[0] += 2
    return sum((2 * 2**level) * (count + 1) for level, count in enumerate(levels))
