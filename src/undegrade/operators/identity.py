"""Nothing happens to the image: denoising."""

from typing import final

from torch import Tensor

from undegrade.core.gram import Gram
from undegrade.core.image import Image
from undegrade.core.operator import LinearOperator, Operator
from undegrade.operators.diagonal import Diagonal


@final
class Identity(LinearOperator):
    """x ↦ x: the operator of denoising."""

    def forward(self, x: Image) -> Tensor:
        return x

    def adjoint(self, y: Tensor) -> Image:
        return y

    def initial(self, y: Tensor) -> Image:
        return y

    def lost(self, y: Tensor) -> None:
        """Every entry sees the image."""

    @property
    def gram(self) -> Gram:
        return Diagonal(lambda x: x.new_ones(len(x), 1, 1, 1))

    @property
    def interior(self) -> "Identity":
        """Every pixel is a piece of its own."""
        return self

    def __matmul__(self, inner: Operator) -> Operator:
        return inner

    def followed_by(self, outer: Operator) -> Operator:
        return outer
