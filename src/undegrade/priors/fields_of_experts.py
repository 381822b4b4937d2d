"""A prior that is learned: filters, and what each size of their responses costs."""

import math
from collections.abc import Callable
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from undegrade.core.functional import Functional
from undegrade.core.image import Image, PerSample, followed

_REPEATS = 4  # most copies of a pixel in the mirrored image: itself, over two borders, a corner
_RESPONSES = 100_000  # numbers in one strip's responses: they stay in a core's cache
_LOGARITHM = 1e-3  # an exponent p below which ((1 + q)^{p/2} − 1)/p is ½ log(1 + q) to three digits


@final
class FieldsOfExperts(Functional):
    """R(x) = Σᵢ e^{wᵢ} Σ ((r² + e^{sᵢ})^{pᵢ/2} − e^{sᵢpᵢ/2})/pᵢ, r = Kᵢx, Kᵢ filters of mean zero.

    Total variation, generalized; the standard test of bilevel learning. With p = 1 (the default) a
    cost is √(r² + e^s) but for a constant, and R is convex. With p below 1 a large response costs
    hardly more than a middling one, so that edges keep their height; R is then weakly convex, and
    p = 0 is Roth and Black's ½ log(1 + r²e^{−s}). Beyond the border lies the mirror image. One
    color at a time. The mean of a filter is taken off where it is used, so that any numbers are a
    valid start.

    References:
        Roth and Black, Fields of experts (2009). Chen, Ranftl and Pock, Insights into analysis
        operator learning (2014). Barron, A general and adaptive robust loss function (2019), of
        which this is the family of costs. Goujon, Neumayer and Unser, Learning weakly convex
        regularizers for convergent image-reconstruction algorithms (2024).

    Good values: 10 or 48 filters of 7×7; e^{s} of 1e-4 … 1e-2 in squared units of the [0, 1] range;
    `dct_filters` as a start.

    Arguments:
        filters: shape (k s s), s odd; a `Parameter` where it is to be learned, as with the others.
        log_weights: w, shape (k).
        log_smoothing: s, one number or shape (k).
        exponents: p, one number or shape (k), not above 2; a number near 0 is as 0.

    Raises:
        ValueError: shapes that do not fit each other; a picture smaller than half a filter.
    """

    filters: Tensor
    log_weights: Tensor
    log_smoothing: Tensor
    exponents: Tensor

    def __init__(
        self,
        filters: Tensor,
        log_weights: Tensor,
        log_smoothing: Tensor,
        exponents: Tensor | None = None,
    ) -> None:
        super().__init__()
        exponents = torch.ones_like(log_weights) if exponents is None else exponents
        given = {
            "filters": filters,
            "log_weights": log_weights,
            "log_smoothing": log_smoothing,
            "exponents": exponents,
        }
        _check_shapes(given)
        for name, value in given.items():
            if isinstance(value, nn.Parameter):
                self.register_parameter(name, value)
            else:
                self.register_buffer(name, value)

    def extra_repr(self) -> str:
        return f"filters={tuple(self.filters.shape)}"

    def modulus(self, x: Tensor) -> PerSample:
        """0 where no p is below 1, else from the steepest concave parts; a rough bound.

        A cost has its least second derivative, −2e^{s(p/2 − 1)}((4 − p)/(1 − p))^{p/2 − 2}, at
        r² = 3e^s/(1 − p); filters of every frequency meet at most with their largest gains.
        """
        p, s = self.exponents.to(x), self.log_smoothing.to(x)
        concave = (1 - p).clamp(min=1e-6)  # p = 1 itself gives 0, by the power of −3/2
        least = 2 * (s * (p / 2 - 1)).exp() * ((3 + concave) / concave) ** (p / 2 - 2)
        costs = self.log_weights.to(x).exp() * torch.where(p < 1, least, 0.0)
        size = 4 * self.filters.shape[-1]  # of the transform: fine enough for filters of s pixels
        gains = torch.fft.rfft2(self._kernels(x), s=(size, size)).abs().square()
        most = (costs.reshape(-1, 1, 1) * gains).sum(0).max()
        return (-_REPEATS * most).expand(len(x))

    def forward(self, x: Image) -> PerSample:
        if not followed(x, *self._learned):
            return self.value_and_grad(x)[0]
        costs, _ = self._costs(self._mirrored(x))
        return costs.reshape(len(x), -1).sum(1)

    def value_and_grad(self, x: Image) -> tuple[PerSample, Image]:
        planes = self._mirrored(x)
        if followed(x, *self._learned):
            costs, slopes = self._costs(planes)
            gradient = self._transposed(slopes, planes)
        else:
            costs, gradient = self._by_strips(planes)
        unfolded = torch.func.vjp(self._mirrored, torch.zeros_like(x))[1]
        return costs.reshape(len(x), -1).sum(1), unfolded(gradient)[0]

    def curvature(self, x: Image) -> Callable[[Image], Image]:
        """v ↦ Σ Kᵢᵀ(cᵢ·Kᵢv), c = slope over response at x: parabolas that majorize the costs.

        The Hessian has negative parts where p is below 1; costs are concave in r² for p up to 2.
        """
        planes = self._mirrored(x)
        bends = self._bends(self._stretched(self._responses(planes)))
        unfolded = torch.func.vjp(self._mirrored, torch.zeros_like(x))[1]

        def product(v: Image) -> Image:
            bent = bends * self._responses(self._mirrored(v))
            return unfolded(self._transposed(bent, planes))[0]

        return product

    def _by_strips(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Costs and slopes, a strip of rows at a time: all responses at once would be large."""
        margin, (rows, columns) = 2 * self._margin, planes.shape[2:]
        height = max(1, _RESPONSES // (len(planes) * len(self.filters) * columns))
        costs, gradient = planes.new_zeros(len(planes)), torch.zeros_like(planes)
        for top in range(0, rows - margin, height):
            strip = planes[:, :, top : top + height + margin]
            cost, slopes = self._costs(strip)
            costs += cost
            gradient[:, :, top : top + height + margin] += self._transposed(slopes, strip)
        return costs, gradient

    def _costs(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Of mirrored planes: their costs, and the slopes of the costs in the responses."""
        responses, p = self._responses(planes), self.exponents.to(planes)
        smoothing, weights = self.log_smoothing.to(planes), self.log_weights.to(planes)
        stretched = self._stretched(responses)
        powers = self._powers(stretched)
        near = p.abs() < _LOGARITHM
        each = stretched * powers - 1
        if bool(near.any()):
            each = torch.where(_column(near), stretched.log() / 2, each)
        divisor = torch.where(near, 1.0, p)
        scale = torch.where(near, 1.0, (smoothing * p / 2).exp() / divisor)
        slopes = self._bends(stretched, powers) * responses
        return each.sum((-2, -1)) @ (weights.exp() * scale), slopes

    def _stretched(self, responses: Tensor) -> Tensor:
        """1 + r²e^{−s}."""
        sharpness = _column((-self.log_smoothing.to(responses)).exp())
        return torch.addcmul(torch.ones_like(sharpness), responses.square(), sharpness)

    def _powers(self, stretched: Tensor) -> Tensor:
        """u^{p/2 − 1} of u = 1 + r²e^{−s}; faster than torch's own power."""
        return (stretched.log() * _column(self.exponents.to(stretched) / 2 - 1)).exp()

    def _bends(self, stretched: Tensor, powers: Tensor | None = None) -> Tensor:
        """The slope of a cost over its response."""
        powers = self._powers(stretched) if powers is None else powers
        p, smoothing = self.exponents.to(stretched), self.log_smoothing.to(stretched)
        return _column((self.log_weights.to(stretched) + smoothing * (p / 2 - 1)).exp()) * powers

    def _kernels(self, like: Tensor) -> Tensor:
        filters = self.filters.to(like)
        return filters - filters.mean((-2, -1), keepdim=True)

    def _responses(self, planes: Tensor) -> Tensor:
        """Kᵢx, shape (b·c, k, h, w)."""
        kernels = self._kernels(planes)
        if not followed(planes, kernels):
            return functional.conv2d(planes, kernels[:, None])
        # torch's derivative of a convolution of one channel takes several times as long as these
        windows = functional.unfold(planes, kernels.shape[-1])
        size = [n - 2 * self._margin for n in planes.shape[2:]]
        return (kernels.flatten(1) @ windows).reshape(len(planes), -1, *size)

    def _transposed(self, responses: Tensor, planes: Tensor) -> Tensor:
        """Σ Kᵢᵀrᵢ, of the shape of the planes."""
        kernels = self._kernels(planes)
        windows = kernels.flatten(1).T @ responses.flatten(2)
        return functional.fold(windows, planes.shape[2:], kernels.shape[-1])

    @property
    def _margin(self) -> int:
        return self.filters.shape[-1] // 2

    @property
    def _learned(self) -> tuple[Tensor, ...]:
        return self.filters, self.log_weights, self.log_smoothing, self.exponents

    def _mirrored(self, x: Image) -> Tensor:
        """Every color as a picture of its own, with its mirror image around it."""
        if min(x.shape[2:]) <= self._margin:
            raise ValueError(
                f"filters of {self.filters.shape[-1]} pixels need a picture of more than "
                f"{self._margin} pixels a side, got {x.shape[2]}×{x.shape[3]}"
            )
        return functional.pad(x.flatten(0, 1)[:, None], [self._margin] * 4, mode="reflect")


def _column(values: Tensor) -> Tensor:
    """Numbers per filter, to multiply responses."""
    return values.reshape(-1, 1, 1)


def _check_shapes(given: dict[str, Tensor]) -> None:
    filters, *others = given.values()
    k, side = filters.shape[0], filters.shape[-1]
    square = filters.ndim == 3 and filters.shape[1] == side and side % 2 == 1
    fitting = others[0].shape == (k,) and all(t.shape in ((k,), ()) for t in others)
    if not (square and fitting):
        shapes = ", ".join(str(tuple(t.shape)) for t in given.values())
        raise ValueError(
            "expected filters (k s s) with an odd s, log_weights (k), log_smoothing and exponents "
            f"(k) or one number, got shapes {shapes}"
        )


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
