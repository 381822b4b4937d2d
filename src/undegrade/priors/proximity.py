"""Nearness to a given picture."""

from collections.abc import Callable
from typing import final

from torch import Tensor

from undegrade.core.functional import Functional
from undegrade.core.image import PerSample, Vector, dot


@final
class Proximity(Functional):
    """½‖x − z‖²/reach²: what a proximal or splitting step adds to its objective.

    Arguments:
        z: where to stay near, one per sample.
        reach: the distance per entry that costs ½.

    Raises:
        ValueError: a reach that is not positive.
    """

    z: Tensor

    def __init__(self, z: Vector, reach: float) -> None:
        super().__init__()
        if not reach > 0:
            raise ValueError(f"expected a reach above 0, got {reach}")
        self.register_buffer("z", z, persistent=False)
        self.reach = reach

    def forward(self, x: Vector) -> PerSample:
        return self.value_and_grad(x)[0]

    def value_and_grad(self, x: Vector) -> tuple[PerSample, Vector]:
        away = x - self.z
        return 0.5 * dot(away, away) / self.reach**2, away / self.reach**2

    def hvp(self, x: Vector, v: Vector) -> Vector:
        del x
        return v / self.reach**2

    def curvature(self, x: Vector) -> Callable[[Vector], Vector]:
        return lambda v: self.hvp(x, v)

    def modulus(self, x: Vector) -> PerSample:
        return x.new_full((len(x),), 1 / self.reach**2)
