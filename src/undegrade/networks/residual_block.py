"""The block that every cell is built from."""

import torch
from torch import Tensor, nn


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3×3 convolution that keeps the size; zeros lie outside."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class ResidualBlock(nn.Module):
    """u ↦ u + K₂ relu(K₁ u), without normalization, so that noise levels stay visible.

    References:
        Lim, Son, Kim, Nah and Lee, Enhanced deep residual networks for single image super-
        resolution (2017), section 3.1.

    Arguments:
        channels: the number of channels in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        self.second = convolution(channels, channels)

    def forward(self, u: Tensor) -> Tensor:
        """One block."""
        return u + self.second(torch.relu(self.first(u)))


def residual_blocks(channels: int, count: int) -> nn.Sequential:
    """`count` blocks in a row; none is the identity."""
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))
