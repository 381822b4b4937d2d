"""`--blur estimate:disk`: flags whose blur the picture tells."""

import dataclasses

from undegrade.core.image import Image
from undegrade.degradations.blur_words import ESTIMATE, is_range, number
from undegrade.degradations.flags import DegradationFlags
from undegrade.degradations.unknown_noise import unknown_noise
from undegrade.kernels.estimate import Estimate, estimate_kernel
from undegrade.operators.identity import Identity

_FORM = "a blur such as disk:3..6 or estimate:disk:4"


def with_blur_told_by(y: Image, flags: DegradationFlags) -> tuple[DegradationFlags, str]:
    """The flags with the blur that was found in place of estimate:FAMILY, and what to say of it.

    A range such as disk:3..6 is searched as well; of it, the best is taken even where the picture
    hardly tells. Other flags are returned as they are, with nothing to say.

    Raises:
        ValueError: the picture does not tell, or not by these flags.
    """
    blur = flags.blur or ""
    kind, *words = blur.split(":")
    ranged = is_range(blur)
    if kind != ESTIMATE and not ranged:
        return flags, ""
    if flags.downsample is not None or flags.mask is not None:
        raise ValueError("a blur can be estimated from a whole picture, without downsample or mask")
    likelihood = flags.likelihood or unknown_noise(y, Identity())
    std = float(likelihood.noise.precision(y).mean().rsqrt())
    if ranged:
        within = [_limits(word, blur) for word in words]
        found = estimate_kernel(y, kind, std, within=within)
    else:
        family, *start = words or [""]
        found = estimate_kernel(y, family, std, tuple(number(word, _FORM, blur) for word in start))
        if found.doubt:
            raise ValueError(
                f"the picture does not tell the blur {blur}: {found.doubt} (the best was {found})"
            )
    note = f"blur found: {found}" + (f"; {found.doubt}" if found.doubt else "")
    return dataclasses.replace(flags, blur=_as_flag(found)), note


def _limits(word: str, blur: str) -> tuple[float, float]:
    least, _, most = word.partition("..")
    return number(least, _FORM, blur), number(most or least, _FORM, blur)


def _as_flag(found: Estimate) -> str:
    return ":".join((found.family, *(f"{value:g}" for value in found.values)))
