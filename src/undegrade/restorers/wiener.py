"""The Wiener filter: restoration in one pass, frequency by frequency."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from undegrade.core.image import Image, PerSample, norm
from undegrade.core.measurement import Measurement
from undegrade.core.operator import Operator
from undegrade.core.solver import Observer, Result, solve
from undegrade.core.stopping import until
from undegrade.linear_algebra.probes import impulse_response, random_signs
from undegrade.operators.convolution import fast_size
from undegrade.restorers.initial import first_estimate
from undegrade.restorers.spectrum import image_spectrum


@final
@dataclass(frozen=True, kw_only=True)
class Wiener:
    """x̂ = F⁻¹[ H̄ S / (|H|² S + N) F y ], S the power of the image and N that of the noise.

    The best linear restoration of a stationary image; a few transforms, whatever the kernel. For
    blur of any boundary, and for denoising. S is a power law |f|^−β per color component, fitted to
    the measurement; the measurement is continued smoothly past its border, so that the transform
    does not see an edge there. Rings at strong edges and, where the kernel is large, near the
    border (a zero boundary most); `Variational` is better and slower.

    References:
        Wiener, Extrapolation, interpolation and smoothing of stationary time series (1949).
        Field, Relations between the statistics of natural images and the response properties of
        cortical cells (1987), for the power law.

    Arguments:
        margin: how far the measurement is continued at least, in pixels.

    Raises:
        ValueError: the degradation is no convolution, or entries of the measurement are lost.
    """

    margin: int = 16

    def restore(self, measurement: Measurement, *, observe: Sequence[Observer] = ()) -> Result[Any]:
        x0 = first_estimate(measurement)
        stop = until(iterations=1)
        return solve(_Filter(self.margin), measurement, x0, stop=stop, observe=observe)


class Filtered(NamedTuple):
    """A restored image; the residual is 0, for nothing is left to iterate."""

    x: Image
    residual: PerSample


@final
@dataclass(frozen=True)
class _Filter:
    """The one step of the filter."""

    margin: int

    def init(self, problem: Measurement, x0: Image, near: Filtered | None = None) -> Filtered:
        del problem, near
        return Filtered(x0, x0.new_full((len(x0),), torch.inf))

    def step(self, problem: Measurement, state: Filtered) -> Filtered:
        y, x = problem.y, state.x
        h, w = x.shape[-2:]
        size = fast_size(_enough(h, self.margin)), fast_size(_enough(w, self.margin))
        kernel = _kernel(problem.operator, x, size)
        variance = _variance(problem.likelihood.noise.precision(y))
        restored = _filtered(_continued(y, size), kernel, variance)
        lost = (h - y.shape[-2]) // 2, (w - y.shape[-1]) // 2
        restored = restored.roll(lost, (-2, -1))[..., :h, :w]
        return Filtered(restored, torch.zeros_like(variance))


def _kernel(operator: Operator, like: Image, size: tuple[int, int]) -> Tensor:
    """The kernel of an operator that is a convolution, on a periodic grid with its middle at 0.

    That it is one is tested by random signs in the middle of the frame, where no boundary matters;
    kernels reach at most a quarter of the frame.
    """
    b, c, h, w = like.shape
    test = torch.zeros_like(like)
    middle = test[..., h // 4 : h - h // 4, w // 4 : w - w // 4]
    middle.copy_(random_signs(middle, 0))
    seen = operator(test)
    lost = h - seen.shape[-2], w - seen.shape[-1]
    if seen.shape[:2] != (b, c) or min(lost) < 0 or lost[0] % 2 or lost[1] % 2:
        raise _refusal(operator)
    kernel = impulse_response(operator, like, size)
    transform = torch.fft.rfft2(kernel) * torch.fft.rfft2(test, s=size)
    expected = torch.fft.irfft2(transform, s=size)
    expected = expected[..., lost[0] // 2 : h - lost[0] // 2, lost[1] // 2 : w - lost[1] // 2]
    # a blur differs by the rounding of float32, anything else by a tenth and more
    if bool((norm(seen - expected) > 1e-3 * norm(seen)).any()):
        raise _refusal(operator)
    return kernel


def _refusal(operator: Operator) -> ValueError:
    return ValueError(
        f"the Wiener filter needs a blur or no operator at all, got {type(operator).__name__}; "
        "use the variational or the quadratic method"
    )


def _enough(n: int, margin: int) -> int:
    """A period that keeps opposite borders apart: by the margin, or an eighth of the picture."""
    return n + 2 * max(margin, n // 8)


def _filtered(y: Tensor, kernel: Tensor, variance: PerSample) -> Tensor:
    size, noise = y.shape[-2:], variance.reshape(-1, 1, 1, 1)
    transfer = torch.fft.rfft2(kernel)
    rotation = _components(y, kernel)
    spectrum = torch.fft.rfft2(torch.einsum("bdc,bchw->bdhw", rotation, y), norm="ortho")
    power = image_spectrum(spectrum, transfer, variance, size[1])
    gain = transfer.conj() * power / (transfer.abs().square() * power + noise)
    x = torch.fft.irfft2(gain * spectrum, s=size, norm="ortho")
    return torch.einsum("bdc,bdhw->bchw", rotation, x)


def _components(y: Tensor, kernel: Tensor) -> Tensor:
    """Principal components of color, (b, c, c); the channels themselves where kernels differ."""
    pixels = (y - y.mean((-2, -1), keepdim=True)).flatten(2)
    covariance = (pixels @ pixels.mT).nan_to_num(0, 0, 0)
    axes = torch.linalg.eigh(covariance).eigenvectors.mT
    spread = (kernel - kernel[:, :1]).abs().flatten(1).amax(1)
    alike = spread <= 1e-5 * kernel.abs().flatten(1).amax(1)
    channels = torch.eye(y.shape[1], dtype=y.dtype, device=y.device)
    return torch.where(alike.reshape(-1, 1, 1), axes, channels)


def _continued(y: Tensor, size: tuple[int, int]) -> Tensor:
    """y in the corner of a periodic frame, mirrored and faded from each border to the next."""
    for dim, n in ((-2, size[0]), (-1, size[1])):
        y = _faded(y.movedim(dim, -1), n).movedim(-1, dim)
    return y


def _faded(y: Tensor, length: int) -> Tensor:
    n = y.shape[-1]
    gap = torch.arange(length - n, device=y.device)
    end = y[..., _mirrored(n + gap, n)]
    beginning = y[..., _mirrored(gap - len(gap), n)]
    phase = torch.pi * (gap + 0.5).to(y.dtype) / len(gap)
    return torch.cat((y, torch.lerp(beginning, end, 0.5 + 0.5 * phase.cos())), dim=-1)


def _mirrored(index: Tensor, n: int) -> Tensor:
    """Where a line of n pixels, mirrored again and again at its ends, has its index-th one."""
    folded = index.remainder(2 * n)
    return torch.minimum(folded, 2 * n - 1 - folded)


def _variance(precision: Tensor) -> PerSample:
    if bool((precision == 0).any()):
        raise ValueError(
            "the Wiener filter needs every entry of the measurement, some are lost; "
            "use the variational or the quadratic method"
        )
    return precision.reciprocal().flatten(1).mean(1)
