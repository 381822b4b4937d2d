"""How near an image is to the truth, one value per sample."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from undegrade.core.image import Image, PerSample, per_sample, require_tensor

# The definition of SSIM: a Gaussian window in pixels; K₁ and K₂ squared, for a range of 1
_WINDOW, _STD = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2
_BAND = 256  # rows at once


def psnr(x: Image, reference: Tensor) -> PerSample:
    """Peak signal-to-noise ratio −10 log₁₀ mean (x − reference)² in dB, x clipped to [0, 1].

    Where the reference leaves [0, 1], x is clipped to the range that holds both, whose width is the
    peak then. Identical images have ∞. The mean over a data set is that of the values in dB.

    Raises:
        ValueError: the shapes differ.
    """
    _check(x, reference)
    low = per_sample(reference.flatten(1).amin(1).clamp(max=0), x)
    high = per_sample(reference.flatten(1).amax(1).clamp(min=1), x)
    inside = torch.minimum(torch.maximum(x, low), high)
    error = ((inside - reference) / (high - low)).square()
    return -10 * error.flatten(1).mean(1).log10()


def ssim(x: Image, reference: Tensor) -> PerSample:
    """Structural similarity with an 11×11 Gaussian window of standard deviation 1.5.

    The mean over channels and over the windows that lie inside; x is clipped to [0, 1]. Written
    here because torchmetrics, which also counts windows across the border, takes seconds to import.

    References:
        Wang, Bovik, Sheikh and Simoncelli, Image quality assessment: from error visibility to
        structural similarity (2004).

    Raises:
        ValueError: the shapes differ, or a side is shorter than the window.
    """
    _check(x, reference)
    if min(x.shape[2:]) < _WINDOW:
        raise ValueError(f"SSIM needs {_WINDOW}×{_WINDOW} pixels or more, got {tuple(x.shape)}")
    channels = zip(x.split(1, 1), reference.split(1, 1), strict=True)
    rows = x.shape[2] - _WINDOW + 1
    total = torch.zeros_like(x[:, 0, 0, 0])
    for a, b in channels:  # and in bands, which bound the memory
        for top in range(0, rows, _BAND):
            band = slice(top, min(top + _BAND, rows) + _WINDOW - 1)
            total = total + _similarity(a[:, :, band].clamp(0, 1), b[:, :, band])
    return total / (rows * (x.shape[3] - _WINDOW + 1) * x.shape[1])


def _similarity(x: Tensor, y: Tensor) -> Tensor:
    """Of all windows inside of a plane (b 1 h w), summed."""
    offsets = torch.arange(_WINDOW, device=x.device, dtype=x.dtype) - _WINDOW // 2
    window = torch.softmax(-(offsets**2) / (2 * _STD**2), 0).reshape(1, 1, 1, -1)
    moments = torch.cat((x, y, x * x, y * y, x * y))
    moments = conv2d(conv2d(moments, window), window.mT)
    mean_x, mean_y, xx, yy, xy = moments.chunk(5)
    likeness = (2 * mean_x * mean_y + _C1) * (2 * (xy - mean_x * mean_y) + _C2)
    energy = mean_x**2 + mean_y**2
    return (likeness / ((energy + _C1) * (xx + yy - energy + _C2))).flatten(1).sum(1)


def without_border(x: Image, width: int) -> Tensor:
    """The image less `width` pixels at every side.

    Raises:
        ValueError: nothing would be left.
    """
    h, w = x.shape[2:]
    if min(h, w) <= 2 * width:
        raise ValueError(f"cannot cut {width} pixels from every side of an image of {h}×{w}")
    return x[:, :, width : h - width, width : w - width]


def _check(x: Tensor, reference: Tensor) -> None:
    for image in (x, reference):
        require_tensor(image, "a score")
    if x.shape != reference.shape:
        raise ValueError(
            f"expected images of one shape, got {tuple(x.shape)} and {tuple(reference.shape)}"
        )
