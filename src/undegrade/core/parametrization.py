"""From the space where a method takes its steps to images, and back."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from undegrade.core.image import Image


@runtime_checkable
class Parametrization(Protocol):
    """x = ψ(η): steps are taken in η, images are seen as x.

    `image` is ψ, `latent` an inverse of it, and `pullback` takes the gradient of a functional of
    x to that of η, ψ′(η)ᵀ∇.
    """

    def image(self, latent: Tensor) -> Image: ...
    def latent(self, x: Image) -> Tensor: ...
    def pullback(self, latent: Tensor, gradient: Image) -> Tensor: ...
