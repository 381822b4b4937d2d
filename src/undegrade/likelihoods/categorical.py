"""Class numbers measured where scores are predicted: the cross-entropy."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from undegrade.core.image import PerSample
from undegrade.core.likelihood import Likelihood


@final
class Categorical(Likelihood):
    """P(y = k) = softmax(prediction)ₖ in every pixel, y (b, 1, h, w) the numbers of the classes.

    −log p = −Σ over pixels of wᵧ Σₖ tₖ log softmax(prediction)ₖ, t the class that was measured, of
    which `smoothing` is spread evenly over all. It is convex in the scores, grows linearly where a
    class is wrong, and with smoothing has its minimum at finite scores. Pixels whose number is no
    class (−1, 255, NaN) cost nothing.

    Its information couples the scores of a pixel, w(diag p − ppᵀ); `curvature` is w·p, the least
    multiple of the prediction's own probabilities that majorizes it in every direction.

    References:
        Szegedy et al., Rethinking the inception architecture for computer vision (2016), section 7,
        for label smoothing.

    Good values: smoothing 0.05 where the scores are to stay finite, as in a search for a picture.

    Arguments:
        weights: of the classes, one number, or one for each (classes,); 0 for a class that is
            ignored.
        smoothing: part of every label that is spread over all classes, in [0, 1).

    Raises:
        ValueError: a negative weight, or a smoothing out of range; a call with as many weights as
            there are no classes.
    """

    weights: Tensor
    smoothing: Tensor

    def __init__(self, weights: float | Tensor = 1.0, smoothing: float = 0.0) -> None:
        super().__init__()
        ws = torch.as_tensor(weights)
        if ws.ndim > 1 or not bool((ws >= 0).all() & ws.isfinite().all()):
            raise ValueError(f"expected weights of classes, 0 or more each, got {ws.tolist()}")
        if not 0 <= smoothing < 1:
            raise ValueError(f"expected a smoothing in [0, 1), got {smoothing}")
        self.register_buffer("weights", ws)
        self.register_buffer("smoothing", torch.as_tensor(smoothing))

    def extra_repr(self) -> str:
        return f"weights={self.weights.tolist()}, smoothing={self.smoothing.item():g}"

    def sample(self, prediction: Tensor, generator: torch.Generator) -> Float[Tensor, "b 1 h w"]:
        """Numbers of classes drawn from the softmax of the scores."""
        rows = prediction.softmax(1).movedim(1, -1)
        drawn = torch.multinomial(rows.reshape(-1, rows.shape[-1]), 1, generator=generator)
        return drawn.reshape(rows.shape[:-1])[:, None].to(prediction)

    def forward(self, prediction: Tensor, y: Tensor) -> PerSample:
        return -(self._target(prediction, y) * prediction.log_softmax(1)).flatten(1).sum(1)

    def value_and_grad(self, prediction: Tensor, y: Tensor) -> tuple[PerSample, Tensor]:
        target, logarithms = self._target(prediction, y), prediction.log_softmax(1)
        value = -(target * logarithms).flatten(1).sum(1)
        return value, target.sum(1, keepdim=True) * logarithms.exp() - target

    def curvature(self, prediction: Tensor, y: Tensor) -> Tensor:
        """w·softmax(prediction), a diagonal that majorizes the information."""
        return self._target(prediction, y).sum(1, keepdim=True) * prediction.softmax(1)

    def _target(self, prediction: Tensor, y: Tensor) -> Tensor:
        """wᵧ·t of every pixel, (b, classes, h, w), which sums to wᵧ."""
        classes = prediction.shape[1]
        if self.weights.ndim and len(self.weights) != classes:
            raise ValueError(
                f"expected a weight for each of {classes} classes, got {len(self.weights)} weights"
            )
        known = (y >= 0) & (y < classes)  # false for NaN
        number = torch.where(known, y, 0.0)[:, 0].long()
        one = functional.one_hot(number, classes).movedim(-1, 1).to(prediction)
        even = self.smoothing.to(prediction)
        spread = one * (1 - even) + even / classes
        weight = self.weights.to(prediction).expand(classes)[number][:, None]
        return torch.where(known, weight * spread, 0.0)
