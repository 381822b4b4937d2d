"""Convolution with a known kernel: motion, defocus, camera shake."""

from typing import final, get_args

import torch
from torch import Tensor, nn

from undegrade.core.gram import Gram
from undegrade.core.image import Image, require_tensor
from undegrade.core.operator import LinearOperator
from undegrade.linear_algebra.transform_sizes import fast_size, is_fast
from undegrade.operators.cache import Cache
from undegrade.operators.convolution import (
    convolve,
    convolve_adjoint,
    filtered,
    transfer_function,
)
from undegrade.operators.diagonal import frequencies
from undegrade.operators.padding import Boundary, fold, pad

_DIRECT_ENTRIES = 25  # measured: up to 5×5 sums are faster than transforms, at 7×7 equal


@final
class Blur(LinearOperator):
    """Convolution y(i) = Σⱼ psf(j) x(i − j), the kernel's middle entry at shift 0.

    Small kernels are summed directly, larger ones go through the fast Fourier transform; the
    result is the same. The transform of the kernel is computed once per image size. Differentiable
    in `psf` (give an `nn.Parameter` to learn it). What lies past the border is a model: on a
    photograph `replicate` is a fair guess, `valid` needs none, `periodic` is exact only for
    synthetic data but has a closed form.

    Arguments:
        psf: the kernel, odd sizes, shape (kh kw), (c|1 kh kw) or (b|1 c|1 kh kw).
        boundary: what lies past the border; `valid` returns (h − kh + 1, w − kw + 1) pixels, all
            others as many as came in.

    Raises:
        ValueError: a kernel of even size or with no entries; an image smaller than the kernel.
    """

    psf: Tensor

    def __init__(self, psf: Tensor, boundary: Boundary = "replicate") -> None:
        super().__init__()
        require_tensor(psf, "Blur")
        _check_kernel(psf)
        if boundary not in get_args(Boundary):
            raise ValueError(f"boundary must be one of {get_args(Boundary)}, got {boundary!r}")
        if isinstance(psf, nn.Parameter):
            self.psf = psf
        else:
            self.register_buffer("psf", psf)
        self.boundary: Boundary = boundary
        self._cache = Cache()

    def extra_repr(self) -> str:
        return f"psf={tuple(self.psf.shape)}, boundary={self.boundary!r}"

    @property
    def margin(self) -> tuple[int, int]:
        """How far the kernel reaches, in pixels (vertically, horizontally)."""
        return self.psf.shape[-2] // 2, self.psf.shape[-1] // 2

    def measured_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of A(x) for an image x of this height and width.

        Raises:
            ValueError: the image is smaller than the kernel.
        """
        kernel = self.psf.shape[-2], self.psf.shape[-1]
        if kernel[0] > size[0] or kernel[1] > size[1]:
            raise ValueError(
                f"the kernel of {kernel[0]}×{kernel[1]} is larger than the image of "
                f"{size[0]}×{size[1]} pixels"
            )
        lost = self.boundary == "valid"
        return size[0] - lost * (kernel[0] - 1), size[1] - lost * (kernel[1] - 1)

    def forward(self, x: Image) -> Tensor:
        size = x.shape[-2], x.shape[-1]
        self.measured_size(size)
        if self._needs_padding(x):
            return self._valid(pad(x, self.margin, self.boundary))
        grid = self._grid(size)
        return filtered(x, self._transfer(grid, self.margin, x), grid, size)

    def adjoint(self, y: Tensor) -> Image:
        if self._needs_padding(y):
            return fold(self._valid_adjoint(y), self.margin, self.boundary)
        size = y.shape[-2], y.shape[-1]
        grid = self._grid(size)
        return filtered(y, self._transfer(grid, self.margin, y).conj(), grid, size)

    def forward_adjoint(self, y: Tensor) -> Tensor:
        """AAᵀy: without a boundary one convolution, with the autocorrelation of the kernel."""
        if self.boundary != "valid" or self._sums(y):
            return super().forward_adjoint(y)
        (kh, kw), (m, n) = self.psf.shape[-2:], y.shape[-2:]
        grid = fast_size(m + kh - 1), fast_size(n + kw - 1)
        transfer = self._transfer(grid, (kh - 1, kw - 1), y)
        return filtered(y, _power(transfer), grid, (m, n))

    def initial(self, y: Tensor) -> Image:
        """The measurement itself; for `valid` with the lost frame filled by its last pixels."""
        return pad(y, self.margin, "replicate") if self.boundary == "valid" else y

    def lost(self, y: Tensor) -> None:
        """Every entry sees the image."""

    @property
    def gram(self) -> Gram | None:
        """For a periodic boundary: |F psf|² in frequencies."""
        return frequencies(self._power) if self.boundary == "periodic" else None

    @property
    def interior(self) -> "Blur | None":
        """The blur without a boundary; none where the picture wraps around."""
        if self.boundary == "periodic":
            return None
        return self if self.boundary == "valid" else Blur(self.psf, "valid")

    @property
    def unbounded(self) -> "Blur | None":
        """The blur without a boundary, where "replicate" is one: no scene goes on like that."""
        return self.interior if self.boundary == "replicate" else None

    def _power(self, x: Image) -> Tensor:
        size = x.shape[-2], x.shape[-1]
        self.measured_size(size)
        return _power(self._transfer(size, self.margin, x))

    def _sums(self, x: Tensor) -> bool:
        """Whether sums are faster; torch sums slowly in float64 and over a single channel."""
        small = self.psf.shape[-2] * self.psf.shape[-1] <= _DIRECT_ENTRIES
        return small and x.shape[1] > 1 and x.dtype == torch.float32

    def _needs_padding(self, x: Tensor) -> bool:
        """Whether a transform cannot continue the image by itself, or not fast."""
        if self.boundary == "periodic":
            return self._sums(x) or not (is_fast(x.shape[-2]) and is_fast(x.shape[-1]))
        return self._sums(x) or self.boundary != "zero"

    def _valid(self, x: Image) -> Tensor:
        """The part of the convolution that needs no boundary."""
        (kh, kw), (h, w) = self.psf.shape[-2:], x.shape[-2:]
        if self._sums(x):
            return convolve(x, self._kernel(x))
        grid = fast_size(h), fast_size(w)
        transfer = self._transfer(grid, (kh - 1, kw - 1), x)
        return filtered(x, transfer, grid, (h - kh + 1, w - kw + 1))

    def _valid_adjoint(self, y: Tensor) -> Image:
        (kh, kw), (m, n) = self.psf.shape[-2:], y.shape[-2:]
        if self._sums(y):
            return convolve_adjoint(y, self._kernel(y))
        h, w = m + kh - 1, n + kw - 1
        grid = fast_size(h), fast_size(w)
        return filtered(y, self._transfer(grid, (kh - 1, kw - 1), y).conj(), grid, (h, w))

    def _grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Where the transform wraps around by itself (periodic), or never reaches (zero)."""
        if self.boundary == "periodic":
            return size
        return fast_size(size[0] + self.margin[0]), fast_size(size[1] + self.margin[1])

    def _kernel(self, like: Tensor) -> Tensor:
        return self.psf.to(like)[(None,) * (4 - self.psf.ndim)]

    def _transfer(self, grid: tuple[int, int], origin: tuple[int, int], like: Tensor) -> Tensor:
        return self._cache(
            self.psf,
            (grid, origin, like.dtype, like.device),
            lambda: transfer_function(self._kernel(like), grid, origin),
        )


def _power(transfer: Tensor) -> Tensor:
    return transfer.real.square() + transfer.imag.square()


def _check_kernel(psf: Tensor) -> None:
    if psf.ndim not in (2, 3, 4) or psf.numel() == 0:
        raise ValueError(
            f"a kernel has shape (kh kw), (c kh kw) or (b c kh kw) and entries, "
            f"got {tuple(psf.shape)}"
        )
    if psf.shape[-2] % 2 == 0 or psf.shape[-1] % 2 == 0:
        raise ValueError(
            f"a kernel has an odd number of rows and columns, so that it has a middle; "
            f"got {psf.shape[-2]}×{psf.shape[-1]}"
        )
