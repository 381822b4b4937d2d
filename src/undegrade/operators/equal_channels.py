"""Pictures whose channels are all the same, as pictures of one channel."""

from typing import final

import torch
from torch import Tensor

from undegrade.core.image import Image
from undegrade.core.operator import LinearOperator


@final
class Repeated(LinearOperator):
    """x of one channel ↦ so many that are equal to it.

    Arguments:
        channels: of the result.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def extra_repr(self) -> str:
        return f"channels={self.channels}"

    def forward(self, x: Image) -> Tensor:
        return x.repeat(1, self.channels, 1, 1)

    def adjoint(self, y: Tensor) -> Image:
        return y.sum(1, keepdim=True)

    def initial(self, y: Tensor) -> Image:
        """Their mean."""
        return y.mean(1, keepdim=True)

    @property
    def interior(self) -> "Repeated":
        """Every entry is told by itself."""
        return self


@final
class FirstChannel(LinearOperator):
    """x ↦ its first channel, of x whose channels are equal all that there is to know.

    Arguments:
        channels: of x.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def extra_repr(self) -> str:
        return f"channels={self.channels}"

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :1]

    def adjoint(self, y: Tensor) -> Tensor:
        others = y.new_zeros(len(y), self.channels - 1, *y.shape[2:])
        return torch.cat((y, others), 1)

    def initial(self, y: Tensor) -> Tensor:
        """All of them equal."""
        return y.expand(-1, self.channels, *y.shape[2:])

    @property
    def interior(self) -> "FirstChannel":
        """Every entry is told by itself."""
        return self
