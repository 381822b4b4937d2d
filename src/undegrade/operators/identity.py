"""Nothing happens to the image: denoising."""

from typing import final

from torch import Tensor

from undegrade.core.image import Image, PerSample, per_sample
from undegrade.core.operator import LinearOperator


@final
class Identity(LinearOperator):
    """x ↦ x: the operator of denoising."""

    def forward(self, x: Image) -> Tensor:
        return x

    def adjoint(self, y: Tensor) -> Image:
        return y

    def initial(self, y: Tensor) -> Image:
        return y

    @property
    def closed_form(self) -> bool:
        return True

    def coercivity(self, x: Image) -> PerSample:
        return x.new_ones(len(x))

    def normal_solve(self, b: Image, shift: float | PerSample) -> Tensor:
        """The quotient b / (1 + shift)."""
        return b / (1 + per_sample(shift, b))
