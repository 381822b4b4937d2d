"""Impulse noise: some entries are replaced by black or white."""

from typing import final

import torch
from torch import Tensor

from undegrade.core.image import Number, PerSample, per_sample
from undegrade.core.likelihood import QuadraticNoise
from undegrade.likelihoods.impulses import impulses
from undegrade.likelihoods.noise import Noise, standard_normal
from undegrade.likelihoods.noise_level import estimate_noise_std
from undegrade.likelihoods.rounding import rounding_std

_OF_8_BITS = rounding_std()


@final
class SaltAndPepper(QuadraticNoise):
    """Each entry is lost with probability `fraction`, and then is 0 or 1 with equal chance.

    A lost entry gives itself away: it is exactly 0 or exactly 1, or in a `Measurement` as a whole
    of two other values that stand out, or differs from all around it (`impulses`). Those entries
    say nothing, and the others are trusted to `std`: −log p = ½ Σ (prediction − y)²/std² over them
    (what remains of the mixture's likelihood when entries at 0 and 1 are taken as lost). It works
    up to about nine entries in ten lost. It fails where the picture itself is pure black or white
    over an area: those entries count as lost too and are filled from around.

    Channels are independent: of a color pixel at fraction ½ all three entries survive in 1 of 8.

    Arguments:
        fraction: probability that an entry is lost, from 0 to 1.
        std: standard deviation of the surviving entries; rounding to 8 bits unless given.
        lost: which entries of one measurement are lost; None takes those that are exactly 0 or 1.

    Raises:
        ValueError: a fraction outside [0, 1]; a standard deviation that is not positive.
    """

    fraction: Tensor
    std: Tensor
    lost: Tensor | None

    def __init__(
        self,
        fraction: float | PerSample | Number,
        std: float | PerSample | Number = _OF_8_BITS,
        lost: Tensor | None = None,
    ) -> None:
        super().__init__()
        fractions, stds = torch.as_tensor(fraction), torch.as_tensor(std)
        if not bool(((fractions >= 0) & (fractions <= 1)).all()):
            raise ValueError(f"the fraction must lie in [0, 1], got {fraction}")
        if not bool((stds > 0).all()):
            raise ValueError(f"the standard deviation must be positive, got {std}")
        self.register_buffer("fraction", fractions)
        self.register_buffer("std", stds)
        self.register_buffer("lost", lost, persistent=False)

    def extra_repr(self) -> str:
        return f"fraction={self.fraction.tolist()}, std={self.std.tolist()}"

    def sample(self, prediction: Tensor, generator: torch.Generator) -> Tensor:
        where, like = generator.device, prediction
        chance = torch.rand(like.shape, dtype=like.dtype, device=where, generator=generator)
        chance, half = chance.to(like), 0.5 * per_sample(self.fraction, like)
        y = prediction + per_sample(self.std, like) * standard_normal(like, generator)
        return torch.where(chance < half, 0.0, torch.where(chance < 2 * half, 1.0, y))

    def precision(self, y: Tensor) -> Tensor:
        """1/std², and 0 for entries that are lost."""
        lost = (y == 0) | (y == 1) if self.lost is None else self.lost
        return torch.where(lost, 0.0, per_sample(self.std, y).square().reciprocal())

    def stronger(self, factor: float) -> "SaltAndPepper":
        """The surviving entries are trusted less; what is lost stays lost."""
        return SaltAndPepper(self.fraction, factor * self.std, self.lost)

    def about(self, y: Tensor) -> "SaltAndPepper":
        """With the entries of y that are lost, and the noise of the others where they have some.

        Where values do not tell the lost entries, something came after the noise: compression,
        scaling, a conversion. What it did to the others is estimated.
        """
        if self.lost is not None or y.ndim != 4:
            return self
        lost, told = impulses(y, self.fraction)
        std = self.std.to(y).expand(len(y))
        if not bool(told.all()):
            std = torch.where(told, std, torch.maximum(std, estimate_noise_std(y, ~lost)))
        return SaltAndPepper(self.fraction, std, lost)

    def scaled(self, factor: PerSample) -> "SaltAndPepper | None":
        """Where it is known which entries are lost."""
        if self.lost is None:
            return None
        return SaltAndPepper(self.fraction, self.std * factor.to(self.std), self.lost)

    @property
    def additive(self) -> bool:
        """Of the surviving entries, where it is known which these are."""
        return self.lost is not None


NOISE = Noise(
    name="salt-and-pepper",
    kind=SaltAndPepper,
    levels=("fraction", "std"),
    unit="FRACTION",
    physics="SaltPepperNoise",
    from_physics=lambda model: (model.p + model.s,),
)
