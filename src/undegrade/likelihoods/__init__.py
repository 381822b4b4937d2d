"""The kinds of noise that flags, descriptions and the DeepInverse adapter know."""

from undegrade.likelihoods import gaussian, laplace, poisson, salt_and_pepper, sensor
from undegrade.likelihoods.noise import Noise

NOISES: dict[str, Noise] = {
    module.NOISE.name: module.NOISE
    for module in (gaussian, laplace, poisson, salt_and_pepper, sensor)
}
