"""A non-linear measurement as the linear one that it is near an estimate."""

import torch

from undegrade.core.image import Image
from undegrade.core.measurement import Measurement
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.operators.mask import Mask

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
