"""A functional of images as one of the numbers that stand for them."""

from collections.abc import Callable
from typing import final

import torch

from undegrade.core.functional import Functional
from undegrade.core.image import PerSample, Vector
from undegrade.core.parametrization import Parametrization


@final
class Reparametrized(Functional):
    """η ↦ f(ψ(η)): so that any solver of f searches among the ψ(η) alone.

    Arguments:
        functional: f.
        parametrization: ψ.
    """

    def __init__(self, functional: Functional, parametrization: Parametrization) -> None:
        super().__init__()
        self.functional, self.parametrization = functional, parametrization

    def forward(self, x: Vector) -> PerSample:
        return self.functional(self.parametrization.image(x))

    def value_and_grad(self, x: Vector) -> tuple[PerSample, Vector]:
        value, gradient = self.functional.value_and_grad(self.parametrization.image(x))
        return value, self.parametrization.pullback(x, gradient)

    def curvature(self, x: Vector) -> Callable[[Vector], Vector]:
        """That of f, seen through ψ′: the product of Gauss and Newton."""
        curved = self.functional.curvature(self.parametrization.image(x))

        def product(v: Vector) -> Vector:
            pushed = torch.func.jvp(self.parametrization.image, (x,), (v,))[1]
            return self.parametrization.pullback(x, curved(pushed))

        return product
