"""The size of a gradient field: what total variation sums up."""

from collections.abc import Callable
from typing import Literal, final, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from undegrade.core.functional import Convex
from undegrade.core.image import PerSample, per_sample

Field = Float[Tensor, "b c d h w"]
Coupling = Literal["anisotropic", "isotropic", "vectorial"]

COUPLED_DIMENSIONS: dict[Coupling, tuple[int, ...]] = {
    "anisotropic": (),
    "isotropic": (2,),
    "vectorial": (1, 2),
}


def magnitude(field: Field, coupling: Coupling) -> Tensor:
    """|v| of every group, with the coupled dimensions kept as size 1. Zero has slope zero."""
    dimensions = COUPLED_DIMENSIONS[coupling]
    if not dimensions:
        return field.abs()
    # Not vector_norm, which takes 80 times as long over two dimensions; clamped for slope zero.
    squared = field.square().sum(dimensions, keepdim=True)
    return squared.clamp(min=torch.finfo(field.dtype).tiny).sqrt()


@final
class GroupNorm(Convex):
    """Σ ρ(|v|) over the pixels of a field v of shape (b, c, 2, h, w), ρ a norm or Huber's.

    ρ(t) = t without smoothing; with smoothing δ > 0 it is t²/2δ for t ≤ δ and t − δ/2 beyond.
    |v| is taken per entry (anisotropic), over the two directions (isotropic: edges of every
    direction cost the same), or over directions and colors (vectorial: edges of the colors tend
    to fall together).

    References:
        Huber, Robust estimation of a location parameter (1964), eq. (2).
        Bresson and Chan, Fast dual minimization of the vectorial total variation norm (2008).

    Arguments:
        coupling: what belongs to one group.
        smoothing: δ ≥ 0, in units of the [0, 1] range per pixel.

    Raises:
        ValueError: an unknown coupling or a negative smoothing.
    """

    def __init__(self, coupling: Coupling = "vectorial", smoothing: float = 0.0) -> None:
        super().__init__()
        if coupling not in COUPLED_DIMENSIONS:
            raise ValueError(f"coupling must be one of {get_args(Coupling)}, got {coupling!r}")
        if smoothing < 0:
            raise ValueError(f"the smoothing must be 0 or more, got {smoothing}")
        self.coupling: Coupling = coupling
        self.smoothing = smoothing

    def extra_repr(self) -> str:
        return f"coupling={self.coupling!r}, smoothing={self.smoothing}"

    def forward(self, x: Field) -> PerSample:
        return self.total(magnitude(x, self.coupling))

    def value_and_grad(self, x: Field) -> tuple[PerSample, Field]:
        size = magnitude(x, self.coupling)
        return self.total(size), x * self.pull(size)

    def total(self, size: Tensor) -> PerSample:
        """Σ ρ(t) over the sizes t = |v| of the groups."""
        if self.smoothing:
            low = size.clamp(max=self.smoothing)
            size = low.square() / (2 * self.smoothing) + (size - low)
        return size.flatten(1).sum(1)

    def pull(self, size: Tensor) -> Tensor:
        """ρ′(t)/t: the gradient is this times v."""
        return size.clamp(min=max(self.smoothing, torch.finfo(size.dtype).tiny)).reciprocal()

    def curvature(self, x: Field) -> Callable[[Field], Field]:
        """v ↦ ρ′(|x|)/|x|·v, the lagged one: the least parabola above ρ that touches it at x."""
        pull = self.pull(magnitude(x, self.coupling))
        return lambda v: pull * v

    def prox(self, v: Field, step: float | PerSample) -> Field:
        """v·(1 − step / max(|v|, δ + step))."""
        scale = per_sample(step, v)
        size = magnitude(v, self.coupling)
        bound = scale + self.smoothing
        longest = torch.maximum(size, bound) if isinstance(bound, Tensor) else size.clamp(min=bound)
        return v * (1 - scale / longest.clamp(min=torch.finfo(v.dtype).tiny))

    def conjugate(self, p: Field) -> PerSample:
        """δ/2·Σ|p|² where every |p| ≤ 1 (up to rounding), ∞ elsewhere."""
        size = magnitude(p, self.coupling)
        slack = 1 + 8 * torch.finfo(p.dtype).eps
        feasible = (size <= slack).flatten(1).all(1)
        value = size.square().flatten(1).sum(1) * (self.smoothing / 2)
        return torch.where(feasible, value, torch.inf)

    def prox_conjugate(self, v: Field, step: float | PerSample) -> Field:
        """v/(1 + step·δ), shortened to length 1 where it is longer."""
        shrunk = v / (1 + per_sample(step, v) * self.smoothing) if self.smoothing else v
        return shrunk / magnitude(shrunk, self.coupling).clamp(min=1)
