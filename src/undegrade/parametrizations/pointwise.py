"""Parametrizations that act on every pixel alone."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from undegrade.core.image import Image

_JUST_INSIDE = 0.02  # share of the margin that `Sigmoid.latent` keeps from the ends of its range


@final
@dataclass(frozen=True)
class Affine:
    """x = scale·η + offset. The identity by default; (½, ½) lets η fill [−1, 1].

    Arguments:
        scale: of η, not 0.
        offset: the image at η = 0.

    Raises:
        ValueError: a scale of 0.
    """

    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if self.scale == 0:
            raise ValueError("expected a scale other than 0, got 0")

    def image(self, latent: Tensor) -> Image:
        """ψ(η)."""
        return self.scale * latent + self.offset

    def latent(self, x: Image) -> Tensor:
        """ψ⁻¹(x)."""
        return (x - self.offset) / self.scale

    def pullback(self, latent: Tensor, gradient: Image) -> Tensor:
        """ψ′(η)ᵀ gradient."""
        del latent
        return self.scale * gradient


@final
@dataclass(frozen=True)
class Sigmoid:
    """x = (sigmoid(η) − margin) / (1 − 2·margin), so that [0, 1] lies inside the sigmoid's range.

    A margin of 0.05 is the paper's data range [0.05, 0.95]. Images may leave [0, 1] by at most
    margin/(1 − 2·margin); `latent` moves what lies further out to just inside.

    References:
        Putzky and Welling, Recurrent inference machines for solving inverse problems (2017),
        section 4.1.

    Arguments:
        margin: in (0, ½).

    Raises:
        ValueError: a margin outside of that range.
    """

    margin: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.margin < 0.5:
            raise ValueError(f"the margin must lie between 0 and ½, got {self.margin}")

    def image(self, latent: Tensor) -> Image:
        """ψ(η)."""
        return (torch.sigmoid(latent) - self.margin) / (1 - 2 * self.margin)

    def latent(self, x: Image) -> Tensor:
        """ψ⁻¹(x)."""
        inside = (1 - 2 * self.margin) * x + self.margin
        return torch.logit(inside, eps=_JUST_INSIDE * self.margin)

    def pullback(self, latent: Tensor, gradient: Image) -> Tensor:
        """ψ′(η)ᵀ gradient."""
        s = torch.sigmoid(latent)
        return s * (1 - s) / (1 - 2 * self.margin) * gradient
