"""A non-linear measurement as the linear one that it is near an estimate."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from undegrade.core.image import Image, per_sample
from undegrade.core.measurement import Measurement
from undegrade.core.operator import Operator
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.operators.mask import Mask

_WINDOW = 3  # pixels a side: in their means, noise is a third of what it is
_DARKEST = 0.1  # of what brightens a picture by one photon: nothing is taken to be darker
_GRAYS = 0.25, 0.5, 0.75  # of flat pictures
_ALIKE = 0.05  # by which they may change
_BLIND = 1e-4  # of the largest gain or precision: entries below say nothing about x there


def working_measurement(measurement: Measurement, x: Image) -> Measurement:
    """y′ = J′x + η′ about x: the least-squares problem of one step of Fisher's scoring.

    With u = φ(x), J = φ′(x), s the slope and W the curvature of −log p at u, an entry measures
    Jx − s/W = Jx′ + noise of variance 1/W. Each row is then divided by its gain J1, so that flat
    pictures keep their brightness; behind a camera's response J′ is the blur itself, and the noise
    a map that grows where the response is flat. An entry without gain or curvature (clipped) is
    lost.

    References:
        McCullagh and Nelder, Generalized linear models (1989), section 2.5.

    Arguments:
        measurement: any operator and likelihood.
        x: where it is linearized.
    """
    with torch.no_grad():
        u, jacobian = measurement.operator.linearize(x)
        slope = measurement.likelihood.value_and_grad(u, measurement.y)[1]
        weight = measurement.likelihood.curvature(u, measurement.y)
        gain = jacobian(torch.ones_like(x))
        seen = (gain.abs() > _BLIND * gain.abs().amax()) & (weight > _BLIND * weight.amax())
        weight, inverse = torch.where(seen, weight, 1.0), torch.where(seen, 1 / gain, 0.0)
        y = inverse * (jacobian(x) - slope / weight)
        std = torch.where(seen, weight.rsqrt() * inverse.abs(), torch.inf)
    return Measurement(y, Mask(inverse) @ jacobian, Gaussian(std))


def keeps_flat_pictures(operator: Operator, y: Tensor) -> bool:
    """Whether a picture of one gray measures as that gray.

    So it is behind a camera's response where x is encoded as y is (r ∘ blur ∘ r⁻¹), where steps may
    follow φ as it bends; not where x is linear light, of which the darkest counts a hundredfold.

    Arguments:
        operator: φ.
        y: a measurement, for its shape.
    """
    x = torch.ones_like(operator.initial(y))
    with torch.no_grad():
        return all(_kept(operator(gray * x), gray) for gray in _GRAYS)


def _kept(y: Tensor, gray: float) -> bool:
    seen = y[y.abs() > _BLIND]
    return seen.numel() > 0 and abs(float(seen.median()) / gray - 1) < _ALIKE


def evenly_weighed(
    measurement: Measurement, estimate: Callable[[Measurement], Image]
) -> Measurement:
    """Noise that depends on the signal as Gaussian noise of the variance near a first estimate x.

    The variance is told by the means of 3 × 3 pixels of x and not by the single entries of y,
    whose own variance (`precision`) must count one photon too many, lest dark ones be trusted most.
    Behind a blur of peak 10 that is 0.6 dB (docs/nonlinear.md). Measurements of fewer entries than
    the picture has, for which more noise than there is was measured to be better, stay as they are.

    Arguments:
        measurement: any operator and likelihood.
        estimate: what makes x; asked only where it is needed.
    """
    noise, y = measurement.likelihood.noise, measurement.y
    depends = noise.smooth and noise.closed_form and not (noise.additive or noise.quadratic)
    if not depends:
        return measurement
    x = estimate(measurement)
    if y[0].numel() < x[0].numel():
        return measurement
    precision = measurement.precision
    if not bool((precision > 0).any()):
        return measurement
    with torch.no_grad():
        ends = (_WINDOW // 2,) * 4
        u = measurement.operator(avg_pool2d(pad(x, ends, mode="replicate"), _WINDOW, 1))
        # the precision of a dark entry is that of one photon: its root is their distance
        least = _DARKEST / precision.flatten(1).amax(1).sqrt()
        weight = noise.curvature(torch.maximum(u, per_sample(least, u)), y)
        std = torch.where(precision > 0, weight.rsqrt(), torch.inf)
    return Measurement(y, measurement.operator, Gaussian(std))
