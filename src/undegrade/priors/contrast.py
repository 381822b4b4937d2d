"""A prior of pictures of one contrast, for those of another."""

from collections.abc import Callable
from typing import final

from torch import Tensor

from undegrade.core.functional import Functional
from undegrade.core.image import PerSample, Vector, per_sample


@final
class Contrast(Functional):
    """x ↦ f(cx), c > 0 one number per sample: what was learned at one noise level, at another.

    With c = σ₀/σ, denoising at σ is denoising at σ₀ of a picture with c times the contrast.

    Arguments:
        functional: f.
        factor: c.

    Raises:
        ValueError: a factor that is not positive.
    """

    def __init__(self, functional: Functional, factor: PerSample) -> None:
        super().__init__()
        if not bool((factor > 0).all()):
            raise ValueError(f"expected factors of contrast above 0, got {factor.tolist()}")
        self.functional = functional
        self.register_buffer("factor", factor)

    factor: Tensor

    def forward(self, x: Vector) -> PerSample:
        return self.functional(self._stretched(x))

    def value_and_grad(self, x: Vector) -> tuple[PerSample, Vector]:
        value, gradient = self.functional.value_and_grad(self._stretched(x))
        return value, per_sample(self.factor, x) * gradient

    def modulus(self, x: Vector) -> PerSample:
        return self.factor.to(x).square() * self.functional.modulus(self._stretched(x))

    def curvature(self, x: Vector) -> Callable[[Vector], Vector]:
        """c² times that of f at cx."""
        curved = self.functional.curvature(self._stretched(x))
        squared = per_sample(self.factor.square(), x)
        return lambda v: squared * curved(v)

    def _stretched(self, x: Vector) -> Vector:
        return per_sample(self.factor, x) * x
