"""A matrix written out: small and one-dimensional problems."""

from typing import final

from torch import Tensor, nn

from undegrade.core.image import Image, require_tensor
from undegrade.core.operator import LinearOperator


@final
class Dense(LinearOperator):
    """x ↦ Ax along the rows of an image: each row of w pixels becomes one of m.

    A one-dimensional signal is an image of one row.

    Arguments:
        matrix: A, shape (m w). Give an `nn.Parameter` to learn it.

    Raises:
        ValueError: the matrix has another number of dimensions, or is empty.
    """

    matrix: Tensor

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        require_tensor(matrix, "Dense")
        if matrix.ndim != 2 or matrix.numel() == 0:
            raise ValueError(f"a matrix has rows and columns, got {tuple(matrix.shape)}")
        if isinstance(matrix, nn.Parameter):
            self.matrix = matrix
        else:
            self.register_buffer("matrix", matrix)

    def extra_repr(self) -> str:
        return f"matrix={tuple(self.matrix.shape)}"

    def forward(self, x: Image) -> Tensor:
        if x.shape[-1] != self.matrix.shape[1]:
            raise ValueError(
                f"the matrix takes rows of {self.matrix.shape[1]} pixels, got {x.shape[-1]}"
            )
        return x @ self.matrix.to(x).T

    def adjoint(self, y: Tensor) -> Image:
        return y @ self.matrix.to(y)
