"""The Gaussian fidelity where (AᵀA + shift·I)⁻¹ has a closed form."""

import torch
from torch import Tensor

from undegrade.core.functional import Convex
from undegrade.core.image import Image, PerSample, dot, per_sample
from undegrade.core.operator import LinearOperator


class LeastSquares(Convex):
    """½‖A x − y‖² / std²: the Gaussian −log p as a function of x that has a proximal map.

    prox_{τf}(v) = (AᵀA + s·I)⁻¹ (Aᵀy + s·v) with s = std²/τ, by `A.normal_solve`.

    Arguments:
        operator: A, best one whose `closed_form` is true.
        y: the measurement.
        std: noise standard deviation, one number or one per sample.

    Raises:
        ValueError: std is not positive.
    """

    y: Tensor
    std: Tensor
    back: Tensor  # Aᵀy

    def __init__(self, operator: LinearOperator, y: Tensor, std: float | Tensor) -> None:
        super().__init__()
        deviation = torch.as_tensor(std).to(y).expand(len(y))
        if not bool((deviation > 0).all()):
            raise ValueError(f"expected a noise std > 0, got {deviation.tolist()}")
        self.operator = operator
        self.register_buffer("y", y, persistent=False)
        self.register_buffer("std", deviation.clone(), persistent=False)
        self.register_buffer("back", operator.adjoint(y), persistent=False)

    def forward(self, x: Image) -> PerSample:
        misfit = self.operator(x) - self.y
        return dot(misfit, misfit) / (2 * self.std**2)

    def value_and_grad(self, x: Image) -> tuple[PerSample, Image]:
        misfit = self.operator(x) - self.y
        precision = self.std**-2
        gradient = per_sample(precision, x) * self.operator.adjoint(misfit)
        return dot(misfit, misfit) * precision / 2, gradient

    def prox(self, v: Image, step: float | PerSample) -> Image:
        shift = self.std**2 / step
        return self.operator.normal_solve(torch.addcmul(self.back, per_sample(shift, v), v), shift)

    def modulus(self, x: Image) -> PerSample:
        return self.operator.coercivity(x) / self.std**2

    def conjugate(self, p: Image) -> PerSample:
        """f*(p) = ½std²‖q‖² + ⟨q, y⟩ for the q with Aᵀq = p: finite only for p in the range of Aᵀ.

        Where AᵀA is singular, or nearly so, use `conjugate_bound`.
        """
        return self._dual_value(self.operator(self.operator.normal_solve(p, 1e-12)))

    def conjugate_bound(self, p: Image, x: Image) -> PerSample:
        """f*(p) with its supremum over images at most half a range away from the range of x.

        By weak duality sup_u ⟨p, u⟩ − f(u) ≤ f̂*(q) + sup_u ⟨p − Aᵀq, u⟩ for every q, f̂ the score
        of a prediction. q = (Ax − y)/std² makes p − Aᵀq vanish as x becomes optimal. Where f is
        strongly convex f*(p) itself is finite, and is returned.
        """
        if bool((self.modulus(x) > 0).all()):
            return self.conjugate(p)
        low, high = x.flatten(1).amin(1), x.flatten(1).amax(1)
        margin = (high - low) / 2
        low, high = per_sample(low - margin, x), per_sample(high + margin, x)
        misfit = per_sample(self.std**-2, self.y) * (self.operator(x) - self.y)
        left = p - self.operator.adjoint(misfit)
        reach = torch.maximum(left * low, left * high).flatten(1).sum(1)
        return self._dual_value(misfit) + reach

    def _dual_value(self, q: Tensor) -> PerSample:
        return self.std**2 * dot(q, q) / 2 + dot(q, self.y)
