"""Blur and decimation as one operator, with a closed form."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from undegrade.core.gram import Gram
from undegrade.core.image import Image, PerSample, per_sample
from undegrade.core.operator import LinearOperator
from undegrade.operators.blur import Blur
from undegrade.operators.cache import Cache
from undegrade.operators.convolution import transfer_function
from undegrade.operators.downsampling import Downsample


@final
class LowResolution(LinearOperator):
    """A = S B: a periodic blur B, then one pixel of every s×s block.

    The same map as `Downsample(s) @ Blur(psf, "periodic")`. What it has beyond that is
    its `gram`: AAᵀ is a convolution on the coarse grid, whose kernel is every s-th entry of the
    autocorrelation of psf. With E its transform, and F the one of the coarse grid,
    (AᵀA + αI)⁻¹ b = (b − Aᵀ F⁻¹[ F(Ab) / (E + α) ]) / α.
    The difference cancels for tiny α: in float32 keep α ≥ 1e-5.

    References:
        Zhao, Wei, Basarab, Dobigeon, Kouamé and Tourneret, Fast single image super-resolution
        using a new analytical solution for ℓ2–ℓ2 problems (2016), theorem 1.

    Arguments:
        psf: the kernel, as for `Blur`.
        factor: s.

    Raises:
        ValueError: a kernel or factor that `Blur` or `Downsample` refuse; an image whose sides are
            not multiples of s, or smaller than the kernel.
    """

    def __init__(self, psf: Tensor, factor: int) -> None:
        super().__init__()
        self.blur, self.downsample = Blur(psf, "periodic"), Downsample(factor)
        self._cache = Cache()

    def forward(self, x: Image) -> Tensor:
        return self.downsample(self.blur(x))

    def adjoint(self, y: Tensor) -> Image:
        return self.blur.adjoint(self.downsample.adjoint(y))

    def initial(self, y: Tensor) -> Image:
        return self.downsample.initial(y)

    def lost(self, y: Tensor) -> None:
        """Every entry sees the image."""

    @property
    def gram(self) -> Gram:
        return _Decimated(self)

    def power(self, x: Image) -> Tensor:
        """E: the transform of AAᵀ on the coarse grid, real and not negative."""
        psf, size = self.blur.psf, (x.shape[-2], x.shape[-1])

        def derive() -> Tensor:
            kernel = psf.to(x)[(None,) * (4 - psf.ndim)]
            transfer = transfer_function(kernel, size, self.blur.margin)
            autocorrelation = torch.fft.irfft2(transfer * transfer.conj(), s=size)
            s = self.downsample.factor
            return torch.fft.rfft2(autocorrelation[..., ::s, ::s]).real.clamp(min=0)

        return self._cache(psf, (size, x.dtype, x.device), derive)


@final
@dataclass(frozen=True)
class _Decimated:
    """AᵀA of a blur and decimation."""

    A: LowResolution

    def solve(self, b: Image, shift: float | PerSample) -> Image:
        """See `LowResolution`; exact up to cancellation."""
        coarse = self.A(b)
        size = coarse.shape[-2], coarse.shape[-1]
        quotient = torch.fft.rfft2(coarse) / (self.A.power(b) + per_sample(shift, b))
        return (b - self.A.adjoint(torch.fft.irfft2(quotient, s=size))) / per_sample(shift, b)

    def least(self, x: Image) -> PerSample:
        """0: what falls between the kept pixels is lost; of a factor of 1 only a bound."""
        return x.new_zeros(len(x))

    def largest(self, x: Image) -> PerSample:
        return self.A.power(x).flatten(1).amax(1).expand(len(x))

    def spectrum(self, x: Image) -> None:
        """Decimation is no convolution."""
        del x
