"""The power spectrum of a natural image, estimated through blur and noise."""

import torch
from torch import Tensor

from undegrade.core.image import PerSample

_EXPONENTS = (1.4, 1.8, 2.2, 2.6, 3.0)  # photographs lie about 2, smooth ones near 3
_FREQUENCIES = 8192  # as many as it takes to know two numbers


def image_spectrum(spectrum: Tensor, transfer: Tensor, variance: PerSample, width: int) -> Tensor:
    """S(f) = a·|f|^−β of every color component, by maximum likelihood of |Y|² ~ |H|² S + N.

    References:
        Whittle, Estimation and information in stationary time series (1953), for the likelihood.

    Arguments:
        spectrum: Y, the transform (ortho) of the measurement, (b, c, h, w//2 + 1).
        transfer: H, the same shape.
        variance: N, of the noise.
        width: w.
    """
    h, w = spectrum.shape[-2:]
    frequency = _frequency(h, width, spectrum.real)
    stride = max(1, h * w // _FREQUENCIES) | 1  # odd: not always the same columns
    seen = spectrum.abs().square().flatten(2)[..., ::stride]
    passed = transfer.abs().square().flatten(2)[..., ::stride]
    noise = variance.reshape(-1, 1, 1)
    best = torch.full_like(seen[..., 0], torch.inf)
    power = torch.zeros_like(spectrum.real)
    for exponent in _EXPONENTS:
        shape = frequency**-exponent
        basis = passed * shape.flatten()[::stride]
        amplitude = _amplitude(seen, basis, noise)
        model = amplitude[..., None] * basis + noise
        score = (model.log() + seen / model).mean(-1)
        better = (score < best)[..., None, None]
        best = torch.minimum(score, best)
        power = torch.where(better, amplitude[..., None, None] * shape, power)
    return power


def _frequency(h: int, w: int, like: Tensor) -> Tensor:
    """|f| in cycles per pixel; at 0 half of the lowest frequency, for the mean is nearly free."""
    rows = torch.fft.fftfreq(h, dtype=like.dtype, device=like.device)
    columns = torch.fft.rfftfreq(w, dtype=like.dtype, device=like.device)
    return (rows[:, None].square() + columns.square()).sqrt().clamp(min=0.5 / max(h, w))


def _amplitude(seen: Tensor, basis: Tensor, noise: Tensor) -> Tensor:
    """The a of a·basis + noise, by Fisher scoring of its logarithm."""
    start = (seen - noise).clamp(min=0).mean(-1) / basis.mean(-1)
    a = start.clamp(min=torch.finfo(seen.dtype).tiny ** 0.5)
    # scoring converges quadratically: 12 steps of at most a factor 4.5 reach every start
    for _ in range(12):
        share = a[..., None] * basis / (a[..., None] * basis + noise)
        excess = seen / (a[..., None] * basis + noise) - 1
        step = (share * excess).sum(-1) / share.square().sum(-1).clamp(min=1e-12)  # all noise: stay
        a = a * step.clamp(-1.5, 1.5).exp()
    return a
