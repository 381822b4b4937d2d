"""AᵀA where a basis is known in which it is diagonal."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from undegrade.core.image import Image, PerSample, per_sample


@final
@dataclass(frozen=True)
class Diagonal:
    """AᵀA = V diag(e) Vᵀ, V orthogonal: pixels themselves, frequencies, or another basis.

    Arguments:
        eigenvalues: x ↦ e for images shaped like x; spreads to the shape of Vᵀx.
        analyze: Vᵀ.
        synthesize: (V c, given an image of the shape of the result).
        periodic: whether the basis is that of `rfft2`.
    """

    eigenvalues: Callable[[Image], Tensor]
    analyze: Callable[[Image], Tensor] = lambda x: x
    synthesize: Callable[[Tensor, Image], Image] = lambda c, _: c
    periodic: bool = False

    def solve(self, b: Image, shift: float | PerSample) -> Image:
        e = self.eigenvalues(b)
        return self.synthesize(self.analyze(b) / (e + per_sample(shift, e)), b)

    def least(self, x: Image) -> PerSample:
        return self.eigenvalues(x).flatten(1).amin(1).expand(len(x))

    def largest(self, x: Image) -> PerSample:
        return self.eigenvalues(x).flatten(1).amax(1).expand(len(x))

    def spectrum(self, x: Image) -> Tensor | None:
        e = self.eigenvalues(x)
        constant = e[0, 0].numel() == 1  # the same in every basis
        return e if self.periodic or constant else None


def frequencies(power: Callable[[Image], Tensor]) -> Diagonal:
    """AᵀA of a periodic convolution; `power` gives |F psf|², half of it as `rfft2` does."""

    def synthesize(spectrum: Tensor, like: Image) -> Image:
        return torch.fft.irfft2(spectrum, s=(like.shape[-2], like.shape[-1]))

    return Diagonal(power, torch.fft.rfft2, synthesize, periodic=True)
