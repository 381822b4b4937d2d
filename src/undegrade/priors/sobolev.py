"""How far a kernel is from another one, in value and in slope."""

from typing import final

import torch
from torch import Tensor

from undegrade.core.functional import Functional
from undegrade.core.image import Image, PerSample, dot
from undegrade.priors.finite_difference import FiniteDifference


@final
class Sobolev(Functional):
    """‖d‖² + ‖∂₁d‖² + ‖∂₂d‖² with d = k − center: small and smooth changes of a kernel.

    A kernel is 0 outside of its array, and the differences across its border count. Used as the
    upper-level penalty of the analytic deep prior.

    References:
        Arndt, Regularization theory of the analytic deep prior approach (2022), sec. 4.

    Arguments:
        center: the kernel that costs nothing, in the shape of k; zero when None.
    """

    center: Tensor | None

    def __init__(self, center: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("center", center, persistent=False)
        self.gradient = FiniteDifference()

    def modulus(self, x: Image) -> PerSample:
        return x.new_full((len(x),), 2.0)

    def forward(self, x: Image) -> PerSample:
        d = x if self.center is None else x - self.center
        slope = self.gradient(_framed(d))
        return dot(d, d) + dot(slope, slope)

    def value_and_grad(self, x: Image) -> tuple[PerSample, Image]:
        d = x if self.center is None else x - self.center
        return self(x), 2 * self._normal(d)

    def hvp(self, x: Image, v: Image) -> Image:
        del x
        return 2 * self._normal(v)

    def _normal(self, d: Image) -> Image:
        curl = self.gradient.adjoint(self.gradient(_framed(d)))
        return d + curl[..., 1:-1, 1:-1]


def _framed(d: Image) -> Tensor:
    return torch.nn.functional.pad(d, (1, 1, 1, 1))
