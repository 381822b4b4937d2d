"""The quadratic model of any likelihood of a linear measurement."""

from typing import final

from torch import Tensor

from undegrade.core.functional import Functional
from undegrade.core.image import Image, PerSample, dot
from undegrade.core.operator import LinearOperator


@final
class WeightedSquares(Functional):
    """½ Σ w (Ax − y)²: exact for Gaussian noise, a model for other noise; w = 0 where y is lost.

    Arguments:
        operator: A.
        y: the measurement.
        precision: w ≥ 0, 1/variance of every entry of y.
    """

    y: Tensor
    precision: Tensor

    def __init__(self, operator: LinearOperator, y: Tensor, precision: Tensor) -> None:
        super().__init__()
        self.operator = operator
        self.register_buffer("y", y, persistent=False)
        self.register_buffer("precision", precision, persistent=False)

    def forward(self, x: Image) -> PerSample:
        misfit = self.operator(x) - self.y
        return 0.5 * dot(misfit, self.precision * misfit)

    def value_and_grad(self, x: Image) -> tuple[PerSample, Image]:
        misfit = self.operator(x) - self.y
        slope = self.precision * misfit
        return 0.5 * dot(misfit, slope), self.operator.adjoint(slope)

    def hvp(self, x: Image, v: Image) -> Image:
        del x
        return self.operator.adjoint(self.precision * self.operator(v))
