"""Kernels that are nowhere negative and sum to 1, by free numbers."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from undegrade.core.image import Image

_EMPTY = 2e-3  # of the largest entry: what an entry of 0 starts from, since the slope at 0 is 0


@final
@dataclass(frozen=True)
class Simplex:
    """k = η²/Ση² in every channel: non-negative, of sum 1, and free to solve for.

    Entries of 0 have no slope; `latent` starts them at a little above 0.

    References:
        Li, McKenzie and Yin, From the simplex to the sphere: faster constrained optimization using
        the Hadamard parametrization (2023).
    """

    def image(self, latent: Tensor) -> Image:
        """ψ(η)."""
        square = latent.square()
        return square / square.sum((-2, -1), keepdim=True)

    def latent(self, x: Image) -> Tensor:
        """An η with ψ(η) next to x, where x is non-negative."""
        least = _EMPTY * x.amax((-2, -1), keepdim=True)
        return (x.clamp(min=0) + least).sqrt()

    def pullback(self, latent: Tensor, gradient: Image) -> Tensor:
        """ψ′(η)ᵀ gradient."""
        total = latent.square().sum((-2, -1), keepdim=True)
        along = (gradient * self.image(latent)).sum((-2, -1), keepdim=True)
        return 2 * latent * (gradient - along) / total
