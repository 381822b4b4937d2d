"""Noise that the channels share, made into noise of each channel's own."""

import torch
from torch import Tensor

from undegrade.core.image import PerSample, per_sample
from undegrade.core.measurement import Measurement
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.noise_level import estimate_noise_std
from undegrade.operators.equal_channels import FirstChannel, Repeated
from undegrade.operators.identity import Identity

_COLORS = 3
_SEED = 1618033988  # one that nobody simulates noise with
_ALIKE = 1 / 255  # channels that differ by less are those of a gray picture
_OWN = 0.9  # part of the noise level that differences of channels show where noise is their own


def own_noise(measurement: Measurement) -> PerSample:
    """σ_C/σ: how much of its noise a channel does not share; 0 in a gray picture, 1 usually.

    With σ the level of every channel, σ_C that of the differences between channels, which is
    estimated. They are divided by what they would vary by if nothing were shared, entry by entry:
    of photon noise the darkest patches would be taken for the flattest. Texture only makes it
    larger. 1 where it cannot be told.
    """
    y, noise = measurement.y, measurement.likelihood.noise
    if y.shape[1:2] != (_COLORS,) or y.ndim != 4:
        return y.new_ones(len(y))
    precision = noise.precision(y)
    seen = (precision > 0).all(1, keepdim=True)
    variance = torch.where(seen, precision, 1.0).reciprocal()
    (red, green, blue), (of_red, of_green, of_blue) = y.unbind(1), variance.unbind(1)
    axes = torch.stack((red - green, red + green - 2 * blue), 1)
    expected = torch.stack((of_red + of_green, of_red + of_green + 4 * of_blue), 1).sqrt()
    try:
        return estimate_noise_std(axes / expected, seen).clamp(max=1)
    except ValueError:  # too few entries are seen
        return y.new_ones(len(y))


def is_gray(measurement: Measurement) -> Tensor:
    """Which samples have three equal channels, and an operator that treats these alike; (b,)."""
    y, operator = measurement.y, measurement.operator
    alike = _equal(y)
    if not bool(alike.any()):
        return alike
    x = operator.initial(y)
    generator = torch.Generator().manual_seed(_SEED)
    test = torch.rand((1, 1, *x.shape[2:]), generator=generator).to(x).expand_as(x)
    return alike & _equal(operator(test))


def one_of(measurement: Measurement) -> Measurement | None:
    """One channel of pictures whose three are the same, and are treated alike; None of others."""
    y, operator = measurement.y, measurement.operator
    precision = measurement.likelihood.noise.precision(y)
    same = all(torch.equal(t[:, :1].expand_as(t), t) for t in (y, precision))
    if y.shape[1:2] != (_COLORS,) or not same or not bool(is_gray(measurement).all()):
        return None
    only_noise = torch.equal(operator(y), y)
    one = Identity() if only_noise else FirstChannel(_COLORS) @ operator @ Repeated(_COLORS)
    return Measurement(y[:, :1], one, Gaussian(precision[:, :1].rsqrt()))


def separated(measurement: Measurement, own: PerSample) -> Measurement:
    """The same measurement with as much more noise as makes that of its three channels independent.

    A network that was trained on independent noise takes what the channels share for the picture.
    Of level σ in each channel and σ_C in their differences, noise has σ_L = √(3σ² − 2σ_C²) along
    (1, 1, 1)/√3. Noise of variance σ_L² − σ_C² is added in the directions of color, so that every
    direction has σ_L; what is measured of the brightness stays as it is. Three equal channels get
    noise of √3 σ, of which their mean has σ again.

    Arguments:
        measurement: its second dimension is three channels, or three groups of as many.
        own: σ_C/σ. From 0.9 on nothing changes.
    """
    own = torch.where(own > _OWN, 1.0, own).square()
    if bool((own == 1).all()):
        return measurement
    y, precision = measurement.y, measurement.likelihood.noise.precision(measurement.y)
    std = torch.where(precision > 0, precision.rsqrt(), 0)
    normal = torch.randn(y.shape[1:], generator=torch.Generator().manual_seed(_SEED)).to(y)
    groups = normal.unflatten(0, (_COLORS, -1))
    in_colors = (groups - groups.mean(0)).flatten(0, 1)
    more, in_all = (3 * (1 - own)).sqrt(), (3 - 2 * own).sqrt()
    noisier = y + per_sample(more, y) * std * in_colors
    noise = Gaussian(per_sample(in_all, y) * precision.rsqrt())
    return Measurement(noisier, measurement.operator, noise)


def _equal(y: Tensor) -> Tensor:
    return ((y - y[:, :1]).abs() <= _ALIKE).flatten(1).all(1)
