"""Random kernels of low-resolution cameras."""

import math

import torch
from torch import Tensor


def super_resolution_psf(
    factor: int, generator: torch.Generator, size: int = 13, dtype: torch.dtype = torch.float32
) -> Tensor:
    """One random noisy anisotropic Gaussian, shape (size size), on the generator's device.

    See `super_resolution_psfs`.
    """
    return super_resolution_psfs(1, factor, generator, size=size, dtype=dtype)[0, 0]


def super_resolution_psfs(
    count: int,
    factor: int,
    generator: torch.Generator,
    *,
    size: int = 13,
    variances: tuple[float, float] = (0.35, 5.0),
    roughness: float = 0.4,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Anisotropic Gaussians with multiplicative noise, shape (count 1 size size), each of sum 1.

    They are meant for `Downsample(factor) @ Blur(psf)`: the middle is moved by the fraction of a
    pixel that makes the kept pixel stand for the middle of its block.

    References:
        Bell-Kligler, Shocher and Irani, Blind super-resolution kernel estimation using an
        internal-GAN (2019), for the distribution.

    Good values: size 13 and variances 0.35 to 5 for factor 2.

    Arguments:
        count: number of kernels.
        factor: of the decimation that follows, 1 or more.
        generator: on any device; it decides where the kernels lie.
        size: odd number of rows and columns.
        variances: along the two axes, in pixels², uniform between these.
        roughness: entries are multiplied by 1 ± this at most.
        dtype: of the result.

    Raises:
        ValueError: an even size.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"the size of a super-resolution kernel is odd, got {size}")

    def uniform(*shape: int) -> Tensor:
        where = generator.device
        return torch.rand(shape, generator=generator, device=where, dtype=torch.float64)

    low, high = variances
    variance = low + (high - low) * uniform(2, count, 1, 1, 1)
    angle = math.pi * uniform(count, 1, 1, 1)
    # `Downsample` keeps the pixel half a pixel before the middle of a block of even side; a
    # convolution reads at −shift from the kernel's middle, so the middle moves the other way
    middle = (size - 1) / 2 - (0.5 if factor % 2 == 0 else 0.0)
    z = torch.arange(size, dtype=torch.float64, device=generator.device) - middle
    u = angle.cos() * z + angle.sin() * z[:, None]
    v = angle.cos() * z[:, None] - angle.sin() * z
    psf = torch.exp(-0.5 * (u.square() / variance[0] + v.square() / variance[1]))
    psf = psf * (1 + roughness * (2 * uniform(count, 1, size, size) - 1))
    return (psf / psf.sum((-2, -1), keepdim=True)).to(dtype)
