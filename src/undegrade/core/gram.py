"""What is known of AᵀA in closed form."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from undegrade.core.image import Image, PerSample


@runtime_checkable
class Gram(Protocol):
    """AᵀA of a linear operator A, where linear systems of it cost about as much as A and Aᵀ."""

    def solve(self, b: Image, shift: float | PerSample) -> Image:
        """(AᵀA + shift·I)⁻¹ b, shift > 0."""
        ...

    def least(self, x: Image) -> PerSample:
        """The least eigenvalue, or a bound from below, for images shaped like x."""
        ...

    def largest(self, x: Image) -> PerSample:
        """The largest eigenvalue, or a bound from above."""
        ...

    def spectrum(self, x: Image) -> Tensor | None:
        """AᵀA as a periodic convolution: what it multiplies `rfft2` by; None if it is none."""
        ...
