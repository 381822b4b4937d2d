"""From label maps to first pictures."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from undegrade.core.image import Image


@final
class MeanColors(nn.Module):
    """Every pixel in the mean color of its class; what is no class in the mean of all colors.

    Arguments:
        colors: of the classes, (classes 3) in [0, 1].
    """

    colors: Tensor

    def __init__(self, colors: Float[Tensor, "classes 3"]) -> None:
        super().__init__()
        self.register_buffer("colors", colors)

    def forward(self, y: Float[Tensor, "b 1 h w"]) -> Image:
        """Label map ↦ picture."""
        colors = self.colors.to(y)
        known = (y >= 0) & (y < len(colors))
        number = torch.where(known, y, float(len(colors)))[:, 0].long()
        return torch.cat((colors, colors.mean(0, keepdim=True)))[number].movedim(-1, 1).contiguous()
