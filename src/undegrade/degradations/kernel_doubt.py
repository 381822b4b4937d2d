"""Whether a picture fits the kernel that is said to have blurred it."""

import torch
from torch import Tensor

from undegrade.core.image import Image
from undegrade.degradations.degradation import Degradation
from undegrade.kernels.evidence import kernel_evidence

# By which a kernel is stretched to see whether that fits better: half to twice, 6 steps an octave.
_FACTORS = tuple(2 ** (k / 6) for k in (*range(-6, 0), *range(1, 7)))
# What counts as better, seen on photographs of CBSD68 behind disks, Gaussians and motions: right
# kernels stay below 120 nats and 4 standard errors, radii wrong by a sixth are beyond 250 and 5.
_NATS, _ERRORS = 150.0, 5.0
_FINE = 4  # samples of a stretched kernel per pixel and axis


def kernel_doubt(degradation: Degradation, y: Image, std: float) -> str:
    """What to say where a stretched kernel fits a picture clearly better; else nothing.

    By `kernel_evidence`, in which the restored picture has no part: its residual is small for wrong
    kernels too. Nothing is said of masked or reduced pictures, nor of tiny ones.

    Arguments:
        degradation: with the blur that is said.
        y: the picture, a batch of one.
        std: of its noise.
    """
    factor = better_factor(degradation, y, std)
    if factor is None:
        return ""
    return (
        f"the picture does not fit this kernel: one {factor:.2g} times as large fits better; "
        "a range is searched by --blur disk:3..6"
    )


def better_factor(degradation: Degradation, y: Image, std: float) -> float | None:
    """How much larger a kernel fits clearly better; None where none does."""
    blur = degradation.blur
    if blur is None or degradation.downsample is not None or degradation.mask is not None:
        return None
    if len(y) != 1 or blur.psf.numel() != blur.psf.shape[-1] * blur.psf.shape[-2]:
        return None
    psf = blur.psf.reshape(blur.psf.shape[-2:]).double().cpu()
    try:
        evidence = kernel_evidence(y.cpu(), [psf, *(stretched(psf, f) for f in _FACTORS)], std)
    except ValueError:  # the picture is too small to tell
        return None
    best = int(evidence.total.argmin())
    gain, error = evidence.against(best, 0)
    return _FACTORS[best - 1] if best and gain > max(_NATS, _ERRORS * error) else None


def stretched(psf: Tensor, factor: float) -> Tensor:
    """A kernel (kh kw) that much larger about its middle, of sum 1 and odd sides."""
    sides = [round(n * factor) // 2 * 2 + 1 for n in psf.shape]
    places = [_places(n, side, factor) for n, side in zip(psf.shape, sides, strict=True)]
    grid = torch.stack(torch.meshgrid(places[1], places[0], indexing="xy"), -1)[None]
    fine = torch.nn.functional.grid_sample(psf[None, None], grid, align_corners=False)
    wide = torch.nn.functional.avg_pool2d(fine, _FINE)[0, 0]
    return wide / wide.sum()


def _places(n: int, side: int, factor: float) -> Tensor:
    """Where the samples of a stretched line lie in the first one, whose ends are at −1 and 1."""
    offset = (torch.arange(side * _FINE, dtype=torch.float64) + 0.5) / _FINE - side / 2
    return offset / factor / (n / 2)
