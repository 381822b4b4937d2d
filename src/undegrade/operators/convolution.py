"""Convolution of images with small kernels, directly or by the fast Fourier transform."""

from collections.abc import Callable

import torch
from torch import Tensor

from undegrade.core.image import Image, require_double_or_single
from undegrade.operators.cache import is_transient


def convolve(x: Image, psf: Tensor) -> Tensor:
    """The part of psf ∗ x whose surroundings are all known, (h − kh + 1, w − kw + 1), by sums.

    Arguments:
        x: (b c h w).
        psf: (b|1 c|1 kh kw).
    """
    return _grouped(torch.nn.functional.conv2d, x, psf)


def convolve_adjoint(y: Image, psf: Tensor) -> Tensor:
    """Transpose of `convolve`: (b c m n) to (b c m + kh − 1 n + kw − 1)."""
    return _grouped(torch.nn.functional.conv_transpose2d, y, psf)


def _grouped(conv: Callable[..., Tensor], x: Tensor, psf: Tensor) -> Tensor:
    # even a kernel common to all goes by groups: many times faster on a CPU than one group is
    b, c = x.shape[:2]
    kernels = psf.flip(-2, -1).expand(b, c, -1, -1).reshape(b * c, 1, *psf.shape[-2:])
    return conv(x.reshape(1, b * c, *x.shape[-2:]), kernels, groups=b * c).unflatten(1, (b, c))[0]


def transfer_function(psf: Tensor, size: tuple[int, int], origin: tuple[int, int]) -> Tensor:
    """Half spectrum of a kernel whose entry `origin` multiplies x at shift 0."""
    require_double_or_single(psf)
    missing = (size[1] - psf.shape[-1], size[0] - psf.shape[-2])
    wide = torch.nn.functional.pad(psf, (0, missing[0], 0, missing[1]))
    return torch.fft.rfft2(wide.roll((-origin[0], -origin[1]), (-2, -1)))


def filtered(x: Image, transfer: Tensor, size: tuple[int, int], keep: tuple[int, int]) -> Tensor:
    """Circular convolution on a zero-extended grid of `size`; the first `keep` rows, columns."""
    spectrum = torch.fft.rfft2(x, s=size)
    alike = transfer.shape[0] in (1, x.shape[0]) and transfer.shape[1] in (1, x.shape[1])
    if torch.is_grad_enabled() or is_transient(x) or is_transient(transfer) or not alike:
        spectrum = spectrum * transfer  # by name, so that the first one is freed
    else:
        spectrum.mul_(transfer)
    return torch.fft.irfft2(spectrum, s=size)[..., : keep[0], : keep[1]]
