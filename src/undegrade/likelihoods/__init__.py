"""The kinds of noise that flags, descriptions and the DeepInverse adapter know."""

import functools

from undegrade.core.extensions import with_extensions
from undegrade.likelihoods import gaussian, laplace, poisson, salt_and_pepper
from undegrade.likelihoods.noise import Noise

NOISES: dict[str, Noise] = {
    module.NOISE.name: module.NOISE for module in (gaussian, laplace, poisson, salt_and_pepper)
}


@functools.cache
def noises() -> dict[str, Noise]:
    """The kinds of this package, and those of the entry points `undegrade.noises`.

    Raises:
        ValueError: an entry point takes a name that is taken, cannot be loaded, or is no `Noise`.
    """
    return with_extensions(
        NOISES, "undegrade.noises", lambda thing: isinstance(thing, Noise), "Noise"
    )
