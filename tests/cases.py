"""One small instance of everything that the laws must hold for; float64, odd and even sizes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from undegrade.core.likelihood import Likelihood
from undegrade.core.operator import LinearOperator, Operator
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.laplace import Laplace
from undegrade.likelihoods.poisson import Poisson
from undegrade.likelihoods.salt_and_pepper import SaltAndPepper
from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample
from undegrade.operators.identity import Identity
from undegrade.operators.mask import Mask


def uniform(*shape: int, seed: int = 0) -> Tensor:
    """Numbers in [0, 1), always the same."""
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class OperatorCase:
    """An operator with the shape of the images that it takes."""

    operator: Operator
    shape: tuple[int, int, int, int] = (2, 3, 8, 7)

    def image(self, seed: int = 1) -> Tensor:
        return uniform(*self.shape, seed=seed)


@dataclass(frozen=True)
class LikelihoodCase:
    """A likelihood whose measurements of predictions in [0, 1] are drawn by itself."""

    likelihood: Likelihood
    shape: tuple[int, int, int, int] = (2, 3, 5, 6)

    def prediction(self, seed: int = 2) -> Tensor:
        return 0.05 + 0.9 * uniform(*self.shape, seed=seed)

    def measured(self, seed: int = 3) -> Tensor:
        """y ~ p(y | prediction)."""
        return self.likelihood.sample(self.prediction(), torch.Generator().manual_seed(seed))


def _psf(*shape: int) -> Tensor:
    psf = uniform(*shape, seed=4)
    return psf / psf.sum((-2, -1), keepdim=True)


OPERATORS: dict[str, OperatorCase] = {
    "identity": OperatorCase(Identity()),
    "blur periodic": OperatorCase(Blur(_psf(3, 5), "periodic")),
    "blur replicate": OperatorCase(Blur(_psf(3, 5), "replicate")),
    "blur reflect per channel": OperatorCase(Blur(_psf(3, 5, 3), "reflect")),
    "blur zero per image": OperatorCase(Blur(_psf(2, 1, 3, 3), "zero")),
    "blur valid per image and channel": OperatorCase(Blur(_psf(2, 3, 3, 5), "valid")),
    "large blur periodic": OperatorCase(Blur(_psf(9, 11), "periodic"), (2, 1, 12, 11)),
    "large blur replicate": OperatorCase(Blur(_psf(2, 3, 9, 11), "replicate"), (2, 3, 12, 11)),
    "large blur reflect": OperatorCase(Blur(_psf(9, 11), "reflect"), (2, 1, 11, 12)),
    "large blur zero": OperatorCase(Blur(_psf(11, 9), "zero"), (2, 1, 11, 12)),
    "large blur valid": OperatorCase(Blur(_psf(3, 9, 11), "valid"), (2, 3, 13, 12)),
    "mask": OperatorCase(Mask(uniform(8, 7) > 0.4)),
    "mask per image and channel": OperatorCase(Mask(uniform(2, 3, 8, 7) > 0.4)),
    "downsample 2": OperatorCase(Downsample(2), (2, 3, 8, 6)),
    "downsample 3": OperatorCase(Downsample(3), (2, 1, 9, 6)),
    "downsample 4": OperatorCase(Downsample(4), (2, 1, 8, 12)),
    "low resolution": OperatorCase(Downsample(2) @ Blur(_psf(3, 3), "replicate"), (2, 3, 8, 6)),
}

LINEAR_OPERATORS: dict[str, LinearOperator] = {
    name: case.operator
    for name, case in OPERATORS.items()
    if isinstance(case.operator, LinearOperator)
}

LIKELIHOODS: dict[str, LikelihoodCase] = {
    "gaussian": LikelihoodCase(Gaussian(0.1)),
    "gaussian per sample": LikelihoodCase(Gaussian(torch.tensor([0.05, 0.2]))),
    "laplace": LikelihoodCase(Laplace(0.1)),
    "laplace per sample": LikelihoodCase(Laplace(torch.tensor([0.05, 0.2]))),
    "poisson": LikelihoodCase(Poisson(30.0)),
    "poisson in the dark": LikelihoodCase(Poisson(torch.tensor([3.0, 9.0]))),
    "salt and pepper": LikelihoodCase(SaltAndPepper(0.3, std=0.05)),
    "salt and pepper per sample": LikelihoodCase(
        SaltAndPepper(torch.tensor([0.1, 0.7]), std=torch.tensor([0.05, 0.1]))
    ),
}
