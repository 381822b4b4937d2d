"""How much structure is left in what a restored picture does not explain, by the kernel."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from undegrade.core.image import PerSample

_NEAREST = 2  # pixels: next neighbors are correlated by how much noise the prior takes out
_FARTHEST = 6
_CLEARLY = 0.85  # of the given kernel's color: what another one must be below
# Total variation with a weight that is too small makes kernels look whiter that are too blurred, a
# large one those that are too sharp. Both must agree.
_TIMES = (0.5, 2.0)


def residual_color(residual: Float[Tensor, "b c h w"]) -> PerSample:
    """Σ ρ(d)² over half of the lags 2 ≤ |d|∞ ≤ 6, ρ the autocorrelation of the channels' mean.

    0 for white noise up to chance. A kernel that is wrong leaves edges, of its own size, in the
    residual, whatever the phase of its transform; the right one leaves the least.

    References:
        Almeida and Figueiredo, Parameter estimation for blind and non-blind image deblurring using
        residual whiteness measures (2013), eq. 9.

    Arguments:
        residual: in units of the noise.
    """
    plane = residual.mean(1)
    plane = plane - plane.mean((1, 2), keepdim=True)
    size = [2 * n for n in plane.shape[1:]]
    correlation = torch.fft.irfft2(torch.fft.rfft2(plane, s=size).abs().square(), s=size)
    near = [torch.minimum(i, n - i) for n in size for i in [torch.arange(n, device=plane.device)]]
    lag = torch.maximum(near[0][:, None], near[1])
    used = (lag >= _NEAREST) & (lag <= _FARTHEST)
    energy = correlation[:, 0, 0].square().clamp(min=torch.finfo(plane.dtype).tiny)
    return 0.5 * correlation[:, used].square().sum(1) / energy


def whitest(kernels: Sequence[Tensor], left: Callable[[Tensor, float], Tensor]) -> Tensor:
    """The kernel of every picture, (b c kh kw): the first one if no other is clearly better.

    Knows what the power spectrum does not: phase, and whether a texture is soft by itself or by the
    blur.

    Arguments:
        kernels: of one shape (b c kh kw), the given one first.
        left: (kernel, times) ↦ the residual, in units of the noise, of the picture restored with
            this kernel and so many times the usual weight.
    """
    colors = torch.stack(
        [torch.stack([residual_color(left(k, times)) for k in kernels]) for times in _TIMES]
    )
    part = (colors / colors[:, :1]).amax(0)
    chosen = torch.where(part.amin(0) < _CLEARLY, part.argmin(0), 0)
    return torch.stack(list(kernels))[chosen, torch.arange(len(chosen), device=chosen.device)]
