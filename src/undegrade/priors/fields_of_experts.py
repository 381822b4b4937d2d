"""A prior that is learned: filters, and how much each of their responses costs."""

import math
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from undegrade.core.functional import Functional
from undegrade.core.image import Image, PerSample


@final
class FieldsOfExperts(Functional):
    """R(x) = Σᵢ e^{wᵢ} Σ √((Kᵢx)² + e^{s}), Kᵢ a filter of mean zero: total variation, generalized.

    Convex and smooth; the standard test of bilevel learning. The filters see whole windows only
    (`valid`), and one color at a time. The mean of a filter is taken off where it is used, so that
    any numbers are a valid start.

    References:
        Roth and Black, Fields of experts (2009). Salehi, Mukherjee, Roberts and Ehrhardt, An
        adaptively inexact first-order method for bilevel optimization (2025), sec. 4.2.

    Good values: 10 or 48 filters of 7×7; e^{s} of 1e-4 … 1e-2 in squared units of the [0, 1] range;
    `dct_filters` as a start.

    Arguments:
        filters: shape (k s s); a `Parameter` where it is to be learned, as with the next two.
        log_weights: w, shape (k).
        log_smoothing: s, one number.

    Raises:
        ValueError: shapes that do not fit each other.
    """

    filters: Tensor
    log_weights: Tensor
    log_smoothing: Tensor

    def __init__(
        self,
        filters: Tensor,
        log_weights: Tensor,
        log_smoothing: Tensor,
    ) -> None:
        super().__init__()
        if filters.ndim != 3 or log_weights.shape != filters.shape[:1] or log_smoothing.ndim:
            raise ValueError(
                "expected filters (k s s), log_weights (k) and one log_smoothing, got shapes "
                f"{tuple(filters.shape)}, {tuple(log_weights.shape)}, {tuple(log_smoothing.shape)}"
            )
        given = {"filters": filters, "log_weights": log_weights, "log_smoothing": log_smoothing}
        for name, value in given.items():
            if isinstance(value, nn.Parameter):
                self.register_parameter(name, value)
            else:
                self.register_buffer(name, value)

    def extra_repr(self) -> str:
        return f"filters={tuple(self.filters.shape)}"

    def modulus(self, x: Tensor) -> PerSample:
        return x.new_zeros(len(x))

    def forward(self, x: Image) -> PerSample:
        return self._cost(self._roots(self._responses(x)), x)

    def value_and_grad(self, x: Image) -> tuple[PerSample, Image]:
        responses = self._responses(x)
        roots = self._roots(responses)
        slope = self.log_weights.to(x).exp().reshape(-1, 1, 1) * responses / roots
        pulled = torch.nn.functional.conv_transpose2d(slope, self._kernels(x))
        return self._cost(roots, x), pulled.reshape(x.shape)

    def _kernels(self, like: Tensor) -> Tensor:
        filters = self.filters.to(like)
        return (filters - filters.mean((-2, -1), keepdim=True))[:, None]

    def _responses(self, x: Image) -> Tensor:
        """Kᵢx, shape (b·c, k, …)."""
        return torch.nn.functional.conv2d(x.flatten(0, 1)[:, None], self._kernels(x))

    def _roots(self, responses: Tensor) -> Tensor:
        return torch.sqrt(responses.square() + self.log_smoothing.to(responses).exp())

    def _cost(self, roots: Tensor, x: Image) -> PerSample:
        each = roots.sum((-2, -1)) @ self.log_weights.to(x).exp()
        return each.reshape(len(x), -1).sum(1)


def dct_filters(size: int, count: int | None = None) -> Float[Tensor, "k s s"]:
    """The cosine basis of size×size windows without its constant, lowest frequencies first.

    Arguments:
        size: rows and columns of a window, 2 or more.
        count: how many filters; all size² − 1 when None.

    Raises:
        ValueError: a size below 2, or more filters than there are.
    """
    most = size**2 - 1
    count = most if count is None else count
    if size < 2 or not 1 <= count <= most:
        raise ValueError(f"expected a size ≥ 2 and 1 to size² − 1 filters, got {size} and {count}")
    n = torch.arange(size, dtype=torch.float64)
    waves = torch.cos(math.pi / size * (n[None, :] + 0.5) * n[:, None])
    waves = waves / waves.norm(dim=1, keepdim=True)
    order = (n[:, None] + n[None, :]).flatten().argsort(stable=True)[1 : count + 1]
    basis = waves[:, None, :, None] * waves[None, :, None, :]
    return basis.reshape(-1, size, size)[order].float()
