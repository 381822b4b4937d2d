"""Any differentiable callable as an operator."""

from collections.abc import Callable
from typing import final

from torch import Tensor

from undegrade.core.image import Image
from undegrade.core.operator import Operator


@final
class Function(Operator):
    """x ↦ call(x): a network, a camera curve, anything that torch can differentiate.

    A `call` that is an `nn.Module` belongs to the operator: it moves with it and its parameters
    are the operator's. Derivatives come from automatic differentiation, so `call` must not change
    its argument.

    Arguments:
        call: from images (b c h w) to measurements, each image by itself.
        start: from a measurement to a first estimate of the image; the measurement itself when not
            given, which needs measurements in the shape of images.
    """

    def __init__(
        self, call: Callable[[Image], Tensor], start: Callable[[Tensor], Image] | None = None
    ) -> None:
        super().__init__()
        self.call, self.start = call, start

    def forward(self, x: Image) -> Tensor:
        return self.call(x)

    def initial(self, y: Tensor) -> Image:
        return y if self.start is None else self.start(y)
