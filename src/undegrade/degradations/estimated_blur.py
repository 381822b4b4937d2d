"""`--blur estimate:disk`: flags whose blur the picture tells."""

import dataclasses

from undegrade.core.image import Image
from undegrade.degradations.blur_words import ESTIMATE
from undegrade.degradations.flags import DegradationFlags
from undegrade.degradations.unknown_noise import unknown_noise
from undegrade.kernels.estimate import Estimate, estimate_kernel
from undegrade.operators.identity import Identity


def with_blur_told_by(y: Image, flags: DegradationFlags) -> tuple[DegradationFlags, str]:
    """The flags with the blur that was found in place of estimate:FAMILY, and what to say of it.

    Other flags are returned as they are, with nothing to say.

    Raises:
        ValueError: the picture does not tell, or not by these flags.
    """
    kind, *words = (flags.blur or "").split(":")
    if kind != ESTIMATE:
        return flags, ""
    if flags.downsample is not None or flags.mask is not None:
        raise ValueError("a blur can be estimated from a whole picture, without downsample or mask")
    likelihood = flags.likelihood or unknown_noise(y, Identity())
    std = float(likelihood.noise.precision(y).mean().rsqrt())
    family, *start = words or [""]
    try:
        numbers = tuple(float(word) for word in start)
    except ValueError:
        raise ValueError(f"expected estimate:FAMILY with numbers, got {flags.blur!r}") from None
    found = estimate_kernel(y, family, std, numbers)
    if found.doubt:
        raise ValueError(
            f"the picture does not tell the blur {flags.blur}: {found.doubt} (the best was {found})"
        )
    return dataclasses.replace(flags, blur=_as_flag(found)), f"blur found: {found}"


def _as_flag(found: Estimate) -> str:
    return ":".join((found.family, *(f"{value:g}" for value in found.values)))
