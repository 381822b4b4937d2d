"""Measurements of a matrix by inner products: matrix sensing."""

from typing import final

import torch
from torch import Tensor, nn

from undegrade.core.image import Image
from undegrade.core.operator import LinearOperator


@final
class Sensing(LinearOperator):
    """X ↦ (⟨A₁, X⟩, …, ⟨A_m, X⟩): m numbers of a matrix, which is an image of h × w entries.

    With Gaussian matrices of variance 1/m a matrix of rank r is determined by a few times
    r·(h + w) of them.

    Arguments:
        matrices: A₁ … A_m, shape (m h w).

    Raises:
        ValueError: the matrices have another number of dimensions, or are empty; an image of
            another size.
    """

    matrices: Tensor

    def __init__(self, matrices: Tensor) -> None:
        super().__init__()
        if matrices.ndim != 3 or matrices.numel() == 0:
            raise ValueError(f"expected matrices of shape (m h w), got {tuple(matrices.shape)}")
        if isinstance(matrices, nn.Parameter):
            self.matrices = matrices
        else:
            self.register_buffer("matrices", matrices)

    def extra_repr(self) -> str:
        return f"matrices={tuple(self.matrices.shape)}"

    def forward(self, x: Image) -> Tensor:
        if x.shape[-2:] != self.matrices.shape[-2:]:
            size, given = tuple(self.matrices.shape[-2:]), tuple(x.shape[-2:])
            raise ValueError(f"the matrices take images of {size} entries, got {given}")
        return torch.einsum("mhw,bchw->bcm", self.matrices.to(x), x)

    def adjoint(self, y: Tensor) -> Image:
        return torch.einsum("mhw,bcm->bchw", self.matrices.to(y), y)
