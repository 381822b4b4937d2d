"""Data that a fit does not see, by which any method can be stopped: scores for `Patience`."""

from dataclasses import dataclass, field, replace
from typing import Any, final

import torch
from torch import Tensor

from undegrade.core.image import PerSample
from undegrade.core.measurement import Measurement
from undegrade.core.operator import Operator
from undegrade.operators.mask import Mask

# Entries that are held out. On six noisy pictures of 64×64 pixels, 5, 10 and 20 per cent came to
# within 0.8, 0.8 and 0.5 dB of the best picture at worst: few entries are a score of chance.
_STEADY = 2500
_FEWEST, _MOST = 0.05, 0.2
_STRENGTH = 0.5  # of the noise that is added, as a share of that which is there


@final
@dataclass(frozen=True)
class Misfit:
    """A score: the mean of |A(x) − y|ᵖ over the entries of a mask.

    Arguments:
        operator: A.
        y: what was measured, or another draw of it.
        where: 1 for entries that count, 0 for others.
        power: p.
    """

    operator: Operator = field(repr=False)
    y: Tensor = field(repr=False)
    where: Tensor = field(repr=False)
    power: int = 2

    def __call__(self, iteration: int, state: Any) -> PerSample:
        """One number per sample."""
        del iteration
        away = (self.operator(state.x) - self.y).abs() ** self.power * self.where
        return away.flatten(1).sum(1) / self.where.expand_as(away).flatten(1).sum(1)


def hold_out(
    measurement: Measurement, share: float | None = None, seed: int = 0
) -> tuple[Measurement, Misfit]:
    """A measurement without some of its entries, and the mean absolute misfit on those.

    Noise of different entries is independent, so that the misfit falls and rises with the error
    there. Absolute values, because their mean is least at the median, which stays where it is when
    noise is clipped or when impulses come in; squares stop up to 0.5 dB further from the best
    picture. It fails where noise reaches over several entries.

    References:
        Ding, Jiang, Chen, Qu and Zhu, A validation approach to over-parameterized matrix and image
        recovery (2022).

    Arguments:
        measurement: of any operator.
        share: of the entries; more makes the score steadier and the fit poorer. Without one, as
            many as make it steady, 2500, but from 5 to 20 per cent.
        seed: of their places.

    Raises:
        ValueError: a share outside (0, 1).
    """
    y = measurement.y
    if share is None:
        share = min(max(_STEADY / y[0].numel(), _FEWEST), _MOST)
    if not 0 < share < 1:
        raise ValueError(f"expected a share of the entries in (0, 1), got {share}")
    draw = torch.rand((1, *y.shape[1:]), generator=torch.Generator().manual_seed(seed))
    out = (draw < share).to(y).expand_as(y)
    rest = replace(measurement, y=y * (1 - out), operator=Mask(1 - out) @ measurement.operator)
    return rest, Misfit(measurement.operator, y, out, power=1)


def recorrupt(
    measurement: Measurement, strength: float = _STRENGTH, seed: int = 0
) -> tuple[Measurement, Misfit]:
    """A measurement with more noise, and the misfit to one whose noise is independent of that.

    y₁ = y + a·σ∘n is fitted, y₂ = y − σ∘n/a validates, n standard normal: for Gaussian noise of
    deviation σ those of y₁ and y₂ are uncorrelated, so that the misfit is the error plus a
    constant. σ is that of the likelihood at y, entry by entry; lost entries do not count. It fails
    where the likelihood is wrong about the noise.

    References:
        Pang, Zheng, Quan and Ji, Recorrupted-to-recorrupted: unsupervised deep learning for image
        denoising (2021), section 3.

    Arguments:
        measurement: of any operator.
        strength: a; more makes the score steadier and the fit poorer.
        seed: of n.

    Raises:
        ValueError: a strength that is not positive.
    """
    if not strength > 0:
        raise ValueError(f"expected a strength above 0, got {strength}")
    y, precision = measurement.y, measurement.likelihood.noise.precision(measurement.y)
    seen = (precision > 0).to(y).expand_as(y)
    std = torch.where(precision > 0, precision.clamp(min=1e-12).rsqrt(), 0.0)
    generator = torch.Generator().manual_seed(seed)
    n = std * torch.randn((1, *y.shape[1:]), generator=generator, dtype=y.dtype).to(y)
    more = replace(measurement, y=y + strength * n)
    return more, Misfit(measurement.operator, y - n / strength, seen)
