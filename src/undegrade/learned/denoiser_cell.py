"""A denoiser in the place of a trained cell: plug and play."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from torch import Tensor

from undegrade.core.image import Image, PerSample
from undegrade.learned.least_squares_features import LeastSquaresFeatures

Denoiser = Callable[[Image, PerSample], Image]
"""(picture, standard deviation of its noise) ↦ picture."""


@final
@dataclass(frozen=True)
class DenoiserCell:
    """(features, hidden) ↦ (D(z, τ) − z, nothing): of its features it reads the estimate and τ.

    Arguments:
        denoiser: D.
        features: what the cell is shown, with base z.
        colors: channels of the pictures.
    """

    denoiser: Denoiser
    features: LeastSquaresFeatures
    colors: int

    def __call__(self, features: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
        """One step, which remembers nothing."""
        del hidden
        z = features[:, self.features.part("estimate", self.colors)]
        error = features[:, self.features.part("expected error", self.colors)]
        return self.denoiser(z, error[:, 0, 0, 0]) - z, features[:, :0]
