"""A likelihood's quadratic model, which learned methods are shown, and the moves it asks for."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from undegrade.core.image import Image, PerSample, per_sample, ratio
from undegrade.core.linear_algebra import conjugate_gradient, impulse_response
from undegrade.core.objective import Fidelity
from undegrade.core.operator import LinearOperator

_FINEST = 1 / 510  # half a gray level of 8 bits: noise below it is taken for this much
_ENOUGH = 1e-4  # of the residual: what conjugate gradients may leave, far below what is visible


class Known(NamedTuple):
    """What is worked out once per measurement.

    Arguments:
        std: standard deviation of the noise, per sample, in units of the image.
        weights: 1 for entries of y that say something, 0 for those that are lost.
        spectrum: of AAᵀ, half of it as `rfft2` gives it, or (b c 1 1) where it is constant.
        maps: images that every step sees, side by side as channels.
    """

    std: PerSample
    weights: Tensor
    spectrum: Tensor
    maps: Tensor


def known_about(problem: Fidelity, x0: Image) -> Known:
    """Noise, weights and spectrum; coverage AᵀWA1 and noise level as maps; A = φ′(x0)."""
    A = problem.operator.linearize(x0)[1]
    std, weights = noise(problem)
    coverage = A.adjoint(weights * A(torch.ones_like(x0)))
    maps = torch.cat((coverage, _level(A, problem, std)), 1)
    return Known(std, weights, _spectrum(A, problem.y), maps)


def moved(
    A: LinearOperator, known: Known, residual: Tensor, shift: PerSample, iterations: int
) -> Image:
    """AᵀW(WAAᵀW + shift)⁻¹ residual: what least squares, regularized by `shift`, would change.

    By conjugate gradients, preconditioned by AAᵀ as if it were a periodic convolution: exact at
    once for identity, masks, periodic blurs and their decimations; for other boundaries a few
    iterations repair most of the frame, where plain ones would need tens.
    """
    kept, shift = known.weights, per_sample(shift, residual)
    if known.spectrum.shape[-2:] == (1, 1):
        return A.adjoint(residual) / (known.spectrum + shift)

    def normal(v: Tensor) -> Tensor:
        return kept * A(A.adjoint(kept * v)) + shift * v

    spectrum, size = known.spectrum + shift, (residual.shape[-2], residual.shape[-1])

    def divided(r: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(r) / spectrum, s=size)

    solution = conjugate_gradient(
        normal, residual, tolerance=_ENOUGH, iterations=iterations, precondition=divided
    )
    return A.adjoint(kept * solution.x)


def within_band(problem: Fidelity, known: Known, x: Image, iterations: int) -> Image:
    """x, moved to where no entry of y is missed by more than 3σ.

    Where the measurement is nearly exact, a network's own rounding is the larger error.
    """
    prediction, A = problem.operator.linearize(x)
    residual = known.weights * (problem.y - prediction)
    band = 3 * per_sample(known.std, residual)
    beyond = residual - torch.minimum(torch.maximum(residual, -band), band)
    shift = (known.std / 0.03).square().clamp(min=0.003)
    return x + moved(A, known, beyond, shift, iterations)


def noise(problem: Fidelity) -> tuple[PerSample, Tensor]:
    """Noise level of each sample, and which of its entries say anything (1) or are lost (0)."""
    variance, trusted = _variance(problem)
    mean = ratio(variance.flatten(1).sum(1), trusted.flatten(1).sum(1))
    return mean.clamp(min=_FINEST**2).sqrt(), trusted


def _variance(problem: Fidelity) -> tuple[Tensor, Tensor]:
    precision = problem.likelihood.noise.precision(problem.y).clamp(max=_FINEST**-2)
    trusted = (precision > 0).to(precision)
    return ratio(trusted, precision), trusted


def _spectrum(A: LinearOperator, y: Tensor) -> Tensor:
    """Of AAᵀ as a periodic convolution: the transform of its response to the middle entry.

    A response of nothing (the middle entry is masked) counts as that of the identity, which makes
    the preconditioned step a plain one.
    """
    response = impulse_response(lambda v: A(A.adjoint(v)), y)
    peak = torch.where(response[..., :1, :1] > 0, response[..., :1, :1], 1.0)
    response[..., :1, :1] = peak
    around = response.abs().sum((-2, -1), keepdim=True) - peak
    if bool((around <= 1e-6 * peak).all()):
        return peak
    return torch.fft.rfft2(response).real.clamp(min=0)


def _level(A: LinearOperator, problem: Fidelity, std: PerSample) -> Image:
    """σ as one map: where noise varies, that of the entries that a neighborhood took part in."""

    def around(entries: Tensor) -> Image:
        near = A.adjoint(entries).mean(1, keepdim=True)
        return functional.avg_pool2d(near, 9, 1, 4, count_include_pad=False)

    variance, trusted = _variance(problem)
    reach, floor = around(trusted), per_sample(std, problem.y)
    level = (around(variance) / reach.clamp(min=1e-6)).clamp(min=0).sqrt()
    return torch.where(reach > 1e-3, level, floor)
