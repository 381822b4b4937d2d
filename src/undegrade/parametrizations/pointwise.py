"""Parametrizations that act on every pixel alone."""

from typing import final

import torch
from torch import Tensor

from undegrade.core.image import Image


@final
class Affine(torch.nn.Module):
    """x = scale·η + offset. The identity by default; (½, ½) lets η fill [−1, 1].

    Arguments:
        scale: of η, not 0.
        offset: the image at η = 0.
    """

    def __init__(self, scale: float = 1.0, offset: float = 0.0) -> None:
        super().__init__()
        self.scale, self.offset = scale, offset

    def image(self, latent: Tensor) -> Image:
        """ψ(η)."""
        return self.scale * latent + self.offset

    def latent(self, x: Image) -> Tensor:
        """ψ⁻¹(x)."""
        return (x - self.offset) / self.scale

    def slope(self, latent: Tensor) -> Tensor:
        """ψ′(η), the same everywhere."""
        return torch.full_like(latent, self.scale)


@final
class Sigmoid(torch.nn.Module):
    """x = (sigmoid(η) − margin) / (1 − 2·margin), so that [0, 1] lies inside the sigmoid's range.

    A margin of 0.05 is the paper's data range [0.05, 0.95]. Images may leave [0, 1] by at most
    margin/(1 − 2·margin); `latent` moves what lies further out to just inside.

    References:
        Putzky and Welling, Recurrent inference machines for solving inverse problems (2017),
        section 4.1.

    Arguments:
        margin: in (0, ½).
    """

    def __init__(self, margin: float = 0.05) -> None:
        super().__init__()
        if not 0 < margin < 0.5:
            raise ValueError(f"the margin must lie between 0 and ½, got {margin}")
        self.margin = margin

    def image(self, latent: Tensor) -> Image:
        """ψ(η)."""
        return (torch.sigmoid(latent) - self.margin) / (1 - 2 * self.margin)

    def latent(self, x: Image) -> Tensor:
        """ψ⁻¹(x)."""
        return torch.logit((1 - 2 * self.margin) * x + self.margin, eps=0.02 * self.margin)

    def slope(self, latent: Tensor) -> Tensor:
        """ψ′(η)."""
        s = torch.sigmoid(latent)
        return s * (1 - s) / (1 - 2 * self.margin)
