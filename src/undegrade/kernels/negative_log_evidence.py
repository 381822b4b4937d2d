"""The evidence of a kernel as a loss, to be minimized over all of its entries."""

from collections.abc import Callable
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from undegrade.core.functional import Functional
from undegrade.core.image import PerSample, Vector
from undegrade.kernels.evidence import Spectra, patch_side, patch_spectra

_POLISHING = 3  # Newton steps: each doubles the digits, of which the search leaves about four


@final
class NegativeLogEvidence(Functional):
    """k ↦ −log p(y | k), in nats, with the spectrum of the picture that goes best with k.

    A bilevel loss whose two levels agree: the lower variable is the spectrum (`Spectra`), and the
    picture itself is integrated out. Smooth where k is not 0, not convex. Knows nothing of phase:
    a shift costs nothing.

    Arguments:
        y: pictures.
        std: of the noise in one channel, one per picture.
        shape: of the kernels, (c kh kw); one channel is shared, and judged by the mean of the
            picture's channels.

    Raises:
        ValueError: pictures too small for the kernels.
    """

    def __init__(
        self, y: Float[Tensor, "b c h w"], std: PerSample, shape: tuple[int, int, int]
    ) -> None:
        super().__init__()
        channels, *size = shape
        shared = channels < y.shape[1]
        planes = y.mean(1, keepdim=True) if shared else y
        noise = std / y.shape[1] ** 0.5 if shared else std
        side = patch_side(y, max(size))
        self.spectra = [
            [patch_spectra(plane[None, None], float(level), side) for plane in picture]
            for picture, level in zip(planes, noise, strict=True)
        ]

    def forward(self, x: Vector) -> PerSample:
        rows = zip(self.spectra, x.double(), strict=True)
        losses = [
            torch.stack([_least(s, k) for s, k in zip(spectra, kernels, strict=True)]).sum()
            for spectra, kernels in rows
        ]
        return torch.stack(losses).to(x)

    def curvature(self, x: Vector) -> Callable[[Vector], Vector]:
        """None that is known to be positive: the evidence is not convex."""
        del x
        return torch.zeros_like


def _least(spectra: Spectra, kernel: Tensor) -> Tensor:
    """The loss at the best spectrum, with both of its derivatives in the kernel.

    The search for the spectrum stops where the value no longer falls; Newton steps go on to where
    the slope ends. One more, its matrix held fixed, has the minimum's derivative.
    """
    seen = spectra.seen(kernel[None])
    best = spectra.best(seen.detach())
    for _ in range(_POLISHING):
        best = best - _newton(spectra, best, seen.detach())
    return spectra.loss(best - _newton(spectra, best, seen), seen)[0]


def _newton(spectra: Spectra, c: Tensor, seen: Tensor) -> Tensor:
    """Hessian⁻¹ times the slope, both in the spectrum; the Hessian is constant to autograd."""
    curve = spectra.curvature(c, seen).detach()
    return torch.linalg.solve(curve, spectra.slope(c, seen))
