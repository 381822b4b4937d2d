"""How much structure is left in what a restored picture does not explain."""

import torch
from jaxtyping import Float
from torch import Tensor

from undegrade.core.image import PerSample

_NEAREST = 2  # pixels: next neighbors are correlated by how much noise the prior takes out
_FARTHEST = 6


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
