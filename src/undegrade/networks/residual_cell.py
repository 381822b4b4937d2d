"""The cell of learned gradient descent: residual blocks at full resolution."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from undegrade.networks.residual_block import convolution, residual_blocks


@final
@dataclass(frozen=True, kw_only=True)
class ResidualSettings:
    """Settings of `ResidualCell`.

    Good values:
        the defaults; state_width 0 for no hidden state.

    Arguments:
        width, blocks: of the backbone.
        state_width, state_blocks: of the network that makes the one-channel hidden state.

    Raises:
        ValueError: a width below 1 (the state's below 0), fewer blocks than 0.
    """

    width: int = 64
    blocks: int = 4
    state_width: int = 16
    state_blocks: int = 2

    def __post_init__(self) -> None:
        if self.width < 1 or min(self.blocks, self.state_width, self.state_blocks) < 0:
            raise ValueError(f"expected a width above 0 and 0 or more of the rest, got {self}")

    def build(self, features: int, colors: int) -> "ResidualCell":
        """The cell, with weights drawn from torch's global generator."""
        return ResidualCell(features, colors, self)


@final
class ResidualCell(nn.Module):
    """(features, hidden) ↦ (update, hidden): a residual backbone, and a small one for the state.

    The backbone works at full resolution, which makes it slow: 4 blocks of 64 channels cost
    about 0.6 s a step for 321×481 in color on two cores.

    References:
        the learned gradient descent project (LGD); Adler and Öktem, Solving ill-posed inverse
        problems using iterative deep neural networks (2017).

    Arguments:
        features: number of input channels.
        colors: number of channels of the update.
        settings: widths and numbers of blocks.
    """

    def __init__(self, features: int, colors: int, settings: ResidualSettings) -> None:
        super().__init__()
        blocks, width = settings.blocks, settings.state_width
        self.channels = 1 if width else 0
        self.divisor, self.stride, self.reach = 1, 1, 2 * max(blocks, settings.state_blocks) + 3
        inputs = features + self.channels
        self.update = _backbone(inputs, settings.width, blocks, colors)
        self.remember = _backbone(inputs, width, settings.state_blocks, 1) if width else None

    def forward(self, features: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
        """One step; the first begins with one channel of zeros, or none."""
        if hidden is None:
            hidden = torch.zeros_like(features[:, : self.channels])
        u = torch.cat((features, hidden), 1)
        return self.update(u), hidden if self.remember is None else self.remember(u)


def _backbone(inputs: int, width: int, blocks: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        convolution(inputs, width),
        residual_blocks(width, blocks),
        convolution(width, width),
        nn.ReLU(),
        convolution(width, outputs),
    )
