"""The numbers that stand for a field of experts while it is learned."""

import math
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from undegrade.priors.fields_of_experts import FieldsOfExperts, dct_filters

# A start that denoises σ = 25 within 1 dB of total variation: by trials on 8 crops.
_CONVEX_START = (math.log(0.3), 2 * math.log(0.02), 1.0)  # log weight, log smoothing, exponent
_CONCAVE_START = (math.log(0.02), 2 * math.log(0.02), 0.1)
_START_STD = 25 / 255  # that the start is for; other levels stretch it
_CONVEX_EXPONENTS = (1.0, 2.0)
_EXPONENTS = (-3.0, 2.0)  # below, a cost is flat but for its middle
_FILTER_RATE, _SHAPE_RATE = (
    0.25,
    2.0,
)  # relative: each of 48 coefficients moves, a log is one number


class Parts(NamedTuple):
    """θ taken apart."""

    coefficients: Float[Tensor, "k n"]
    log_weights: Float[Tensor, "k"]
    log_smoothing: Float[Tensor, "k"]
    exponents: Float[Tensor, "k"]


@final
@dataclass(frozen=True, kw_only=True)
class ExpertCoordinates:
    """θ (1 n) ↦ a field of experts: filters by their cosine coefficients, and the three others.

    Arguments:
        count: filters.
        size: rows and columns of each, odd.
        convex: whether exponents stay at 1 or above.
        std: of the noise that is learned from.

    Raises:
        ValueError: sizes or counts that make no filters.
    """

    count: int
    size: int
    convex: bool
    std: float

    def __post_init__(self) -> None:
        if self.size % 2 == 0:
            raise ValueError(f"expected filters of an odd size, got {self.size}")
        dct_filters(self.size, self.count)

    def start(self) -> Tensor:
        """Cosine filters, and costs that are alike, (1 n)."""
        weight, smoothing, exponent = _CONVEX_START if self.convex else _CONCAVE_START
        stretched = 2 * math.log(self.std / _START_STD)
        weight -= exponent / 2 * stretched  # so that R(x·std) stays the same
        columns = [torch.full((self.count,), v) for v in (weight, smoothing + stretched, exponent)]
        return torch.cat([torch.eye(self.count, self._waves).flatten(), *columns])[None]

    def rates(self) -> Tensor:
        """How far each number moves, relative to the others, (1 n)."""
        filters = torch.full((self.count * self._waves,), _FILTER_RATE)
        return torch.cat([filters, torch.full((3 * self.count,), _SHAPE_RATE)])[None]

    def projected(self, theta: Tensor) -> Tensor:
        """With exponents in their range."""
        kept = theta.clone()
        kept[:, -self.count :].clamp_(*(_CONVEX_EXPONENTS if self.convex else _EXPONENTS))
        return kept

    def prior(self, theta: Tensor) -> FieldsOfExperts:
        """The field of experts, differentiable in θ."""
        parts = self.parts(theta)
        basis = dct_filters(self.size).to(theta)
        filters = torch.einsum("kn,nij->kij", parts.coefficients, basis)
        return FieldsOfExperts(filters, parts.log_weights, parts.log_smoothing, parts.exponents)

    def parts(self, theta: Tensor) -> Parts:
        """θ as what it means."""
        sizes = [self.count * self._waves, *3 * [self.count]]
        coefficients, weights, smoothing, exponents = theta[0].split(sizes)
        return Parts(coefficients.reshape(self.count, -1), weights, smoothing, exponents)

    @property
    def _waves(self) -> int:
        return self.size**2 - 1
