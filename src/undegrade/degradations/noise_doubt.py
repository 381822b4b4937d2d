"""Whether a picture can have the noise that is said to be in it."""

from undegrade.core.image import Image
from undegrade.core.likelihood import Likelihood


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
