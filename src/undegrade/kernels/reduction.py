"""What image editors convolve with before they keep one pixel of every block."""

import math

import torch
from torch import Tensor


def reduction_psf(kind: str, factor: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """The kernel of a reduction by a whole factor, for `Downsample(factor) @ Blur(psf)`.

    `area` is the mean of a block; `bicubic` the cubic kernel (a = −½) stretched by the factor, as
    editors and MATLAB's imresize reduce with antialiasing. The middle of a block of even side
    lies half a pixel after the pixel that `Downsample` keeps, and so the kernel is off its own
    middle by as much.

    References:
        Keys, Cubic convolution interpolation for digital image processing (1981), eq. 15.

    Arguments:
        kind: area or bicubic.
        factor: 2 or more.
        dtype: of the result; the shape is odd, (2·factor ± 1 …) or (4·factor ± 1 …).

    Raises:
        ValueError: another kind; a factor below 2.
    """
    if kind not in REDUCTIONS or factor < 2:
        raise ValueError(
            f"a reduction is {' or '.join(REDUCTIONS)} by 2 or more, got {kind} by {factor}"
        )
    kept = (factor - 1) // 2
    middle = (factor - 1) / 2 - kept  # of the block, seen from the kept pixel
    reach = math.ceil(2 * factor + middle)
    # a convolution reads at −shift from the kernel's middle
    distance = (torch.arange(-reach, reach + 1, dtype=torch.float64) + middle).abs() / factor
    line = (distance < 0.5).double() if kind == "area" else _cubic(distance)
    used = int(line.nonzero()[0]), int(line.flip(0).nonzero()[0])
    line = line[min(used) : len(line) - min(used)] / line.sum()
    return (line[:, None] * line).to(dtype)


REDUCTIONS = ("bicubic", "area")


def _cubic(t: Tensor) -> Tensor:
    near = (1.5 * t - 2.5) * t * t + 1
    far = ((-0.5 * t + 2.5) * t - 4) * t + 2
    return torch.where(t <= 1, near, torch.where(t < 2, far, 0.0))
