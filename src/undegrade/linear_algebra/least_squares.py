"""The fidelity of a linear operator where −log p is quadratic, or is replaced by its model."""

import torch
from torch import Tensor

from undegrade.core.functional import Convex
from undegrade.core.image import Image, PerSample, dot, per_sample, require_shape
from undegrade.core.operator import LinearOperator
from undegrade.linear_algebra.conjugate_gradient import conjugate_gradient

_SHIFT = 1e-12  # of AᵀA: `solve` asks for one, and this is below the rounding of its eigenvalues
_ITERATIONS = 500  # a safeguard: the shift of a prox ends it after some dozens


class LeastSquares(Convex):
    """½ Σ (Ax − y)²/std², with an exact Hessian, and a proximal map that is closed where AᵀA is.

    Exact for Gaussian noise; with std = precision(y)^−½ the quadratic model of any noise. The prox
    solves (AᵀWA + 1/τ) x = AᵀWy + v/τ, W = 1/std²: by `A.gram` where std is one number per sample,
    otherwise by conjugate gradients.

    Arguments:
        operator: A.
        y: the measurement.
        std: noise standard deviation, one number, one per sample or one per entry of y; infinite
            for an entry that is lost.

    Raises:
        ValueError: std is not positive.
    """

    y: Tensor
    precision: Tensor  # largest 1/std² of each sample
    trust: Tensor  # 1/std² relative to that: (b 1 1 1) of ones, or in the shape of y
    back: Tensor  # Aᵀ trust·y

    def __init__(self, operator: LinearOperator, y: Tensor, std: float | Tensor) -> None:
        super().__init__()
        deviation = torch.as_tensor(std).to(y)
        if not bool((deviation > 0).all()):
            raise ValueError(f"expected a noise std > 0, got {deviation.tolist()}")
        rows = deviation if deviation.ndim > 1 else per_sample(deviation.expand(len(y)), y)
        least = rows.flatten(1).amin(1)
        trust = (per_sample(least, y) / rows).square()
        if bool((trust == 1).all()):
            trust = per_sample(torch.ones_like(least), y)
        self.operator = operator
        self.register_buffer("y", y, persistent=False)
        self.register_buffer("precision", least.square().reciprocal(), persistent=False)
        self.register_buffer("trust", trust, persistent=False)
        self.register_buffer("back", operator.adjoint(trust * y), persistent=False)

    @property
    def uniform(self) -> bool:
        """Whether every entry of a sample is trusted alike."""
        return self.trust[0].numel() == 1

    def forward(self, x: Image) -> PerSample:
        misfit = self._misfit(x)
        return 0.5 * self.precision * dot(misfit, self.trust * misfit)

    def value_and_grad(self, x: Image) -> tuple[PerSample, Image]:
        misfit = self._misfit(x)
        slope = self.trust * misfit
        value = 0.5 * self.precision * dot(misfit, slope)
        return value, per_sample(self.precision, x) * self.operator.adjoint(slope)

    def _misfit(self, x: Image) -> Tensor:
        prediction = self.operator(x)
        require_shape(prediction, self.y)
        return prediction - self.y

    def hvp(self, x: Image, v: Image) -> Image:
        del x
        return per_sample(self.precision, v) * self._normal(v)

    def prox(self, v: Image, step: float | PerSample) -> Image:
        shift = 1 / (self.precision * step)
        return self._solve(torch.addcmul(self.back, per_sample(shift, v), v), shift)

    def modulus(self, x: Image) -> PerSample:
        gram = self.operator.gram
        if gram is None:
            return x.new_zeros(len(x))
        return self.precision * self.trust.flatten(1).amin(1) * gram.least(x)

    def conjugate(self, p: Image) -> PerSample:
        """f*(p) = ⟨p, x⟩ − f(x) where AᵀWA x = p + AᵀWy: finite only for p in the range of Aᵀ.

        Where AᵀWA is singular, or nearly so, use `conjugate_bound`.
        """
        x = self._solve(self.back + p / per_sample(self.precision, p), _SHIFT)
        return dot(p, x) - self(x)

    def conjugate_bound(self, p: Image, x: Image) -> PerSample:
        """f*(p) with its supremum over images at most half a range away from the range of x.

        By weak duality sup_u ⟨p, u⟩ − f(u) ≤ f̂*(q) + sup_u ⟨p − Aᵀq, u⟩ for every q, f̂ the −log p
        of a prediction. q = W(Ax − y) makes p − Aᵀq vanish as x becomes optimal. Where f is
        strongly convex f*(p) itself is finite, and is returned.
        """
        if bool((self.modulus(x) > 0).all()):
            return self.conjugate(p)
        low, high = x.flatten(1).amin(1), x.flatten(1).amax(1)
        margin = (high - low) / 2
        low, high = per_sample(low - margin, x), per_sample(high + margin, x)
        misfit = self._misfit(x)
        q = per_sample(self.precision, misfit) * self.trust * misfit
        left = p - self.operator.adjoint(q)
        reach = torch.maximum(left * low, left * high).flatten(1).sum(1)
        return dot(q, misfit / 2 + self.y) + reach

    def _normal(self, v: Image) -> Image:
        return self.operator.adjoint(self.trust * self.operator(v))

    def _solve(self, b: Image, shift: float | PerSample) -> Image:
        """(Aᵀ trust A + shift)⁻¹ b."""
        gram = self.operator.gram
        if gram is not None and self.uniform:
            return gram.solve(b, shift)

        def shifted(v: Image) -> Image:
            return self._normal(v) + per_sample(shift, v) * v

        tolerance = torch.finfo(b.dtype).eps ** 0.75  # a prox is exact, as far as this can be
        return conjugate_gradient(shifted, b, tolerance=tolerance, iterations=_ITERATIONS).x
