"""Whether a picture can have the noise that is said to be in it, and whether it looks so."""

from undegrade.core.image import Image
from undegrade.core.likelihood import Likelihood
from undegrade.degradations.degradation import Degradation
from undegrade.degradations.unknown_noise import unknown_noise
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.rounding import rounding_std_of

_MORE = 4 / 3  # times what a picture shows; clipping and rounding hide up to a sixth of noise
_FINE = 6.0  # deviations of the rounding: steps are too coarse for noise below this


def refuse_hidden_noise(y: Image, likelihood: Likelihood) -> None:
    """Refuse noise that no entry of a picture shows: its level is in another unit than the values.

    Among many entries some are off the mean by more than their standard deviation, whatever the
    scene. A picture of one value has no noise, and is left alone.

    Arguments:
        y: the measured picture.
        likelihood: of its noise.

    Raises:
        ValueError: every entry is nearer to the mean of y than its standard deviation.
    """
    off = (y - y.mean()).abs()
    furthest = (off * likelihood.noise.precision(y).sqrt()).max()
    if 0 < furthest < 1:
        raise ValueError(
            f"the noise is larger than anything that the picture shows: its values, from "
            f"{y.min():.3g} to {y.max():.3g} of white, are off their mean by {furthest:.2g} "
            f"standard deviations at most; where white has another value, say it: --white VALUE"
        )


def noise_doubt(said: Degradation, y: Image) -> str:
    """What to say where a picture shows less noise than it is said to have; else nothing.

    Texture is taken for noise, and noise seldom for anything else: so what is found is hardly ever
    too little, and nothing is said of a level that is told too low. Asked is white noise of one
    level, of pictures that are no JPEG and came through no operator of another package.

    Arguments:
        said: with the noise that is told.
        y: the measured picture.
    """
    noise = said.likelihood
    if not isinstance(noise, Gaussian) or noise.std.numel() > 1:
        return ""
    if said.jpeg is not None or said.first is not None:
        return ""
    try:
        found = unknown_noise(y, said.operator, said.bits)
    except ValueError:  # too few entries are seen
        return ""
    told, shown = float(noise.std), float(found.noise.precision(y).mean().rsqrt())
    fine = told < _FINE * float(rounding_std_of(y).max())
    if fine or told < _MORE * shown or not isinstance(found, Gaussian):
        return ""
    return (
        f"the noise that is told, std {told:.4g}, is {told / shown:.1f} times what the picture "
        f"shows, {shown:.4g}: where it shows all of it, detail is lost with what is no noise"
    )
