"""Quadratic regularization."""

from typing import final

import torch
from torch import Tensor

from undegrade.core.functional import Proximable
from undegrade.core.image import PerSample, dot, per_sample
from undegrade.core.operator import LinearOperator
from undegrade.linear_algebra.conjugate_gradient import conjugate_gradient


@final
class Tikhonov(Proximable):
    """½‖Kx‖²: small images (K = I), or smooth ones (K = `FiniteDifference()`).

    Everything about it is linear, which makes it fast, and blurs edges, which makes it poor on
    pictures that have them. The prox solves (I + step·KᵀK)x = v by conjugate gradients.

    References:
        Tikhonov, Solution of incorrectly formulated problems and the regularization method (1963).

    Arguments:
        operator: K; the identity when None.
    """

    def __init__(self, operator: LinearOperator | None = None) -> None:
        super().__init__()
        self.operator = operator

    def modulus(self, x: Tensor) -> PerSample:
        """1 for K = I; 0 otherwise, as of a K that does not see constants."""
        return x.new_full((len(x),), 1.0 if self.operator is None else 0.0)

    def forward(self, x: Tensor) -> PerSample:
        field = x if self.operator is None else self.operator(x)
        return 0.5 * dot(field, field)

    def value_and_grad(self, x: Tensor) -> tuple[PerSample, Tensor]:
        if self.operator is None:
            return 0.5 * dot(x, x), x.clone()
        field = self.operator(x)
        return 0.5 * dot(field, field), self.operator.adjoint(field)

    def hvp(self, x: Tensor, v: Tensor) -> Tensor:
        del x
        return self._normal(v)

    def prox(self, v: Tensor, step: float | PerSample) -> Tensor:
        if self.operator is None:
            return v / (1 + per_sample(step, v))

        def shifted(x: Tensor) -> Tensor:
            return x + per_sample(step, x) * self._normal(x)

        tolerance = torch.finfo(v.dtype).eps ** 0.75
        # 500 is a safeguard: the identity in the system ends it after some dozens
        return conjugate_gradient(shifted, v, tolerance=tolerance, iterations=500).x

    def _normal(self, v: Tensor) -> Tensor:
        return v.clone() if self.operator is None else self.operator.adjoint(self.operator(v))
