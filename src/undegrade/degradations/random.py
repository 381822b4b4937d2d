"""The random degradations of the papers' experiments, for whole batches: every image its own."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from undegrade.core.image import Image, per_sample
from undegrade.core.measurement import Measurement
from undegrade.core.operator import Operator
from undegrade.kernels.camera_shake import camera_shake_psfs
from undegrade.kernels.super_resolution import super_resolution_psfs
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample
from undegrade.operators.identity import Identity
from undegrade.operators.mask import Mask
from undegrade.operators.padding import Boundary

Range = tuple[float, float]
"""From, to: drawn uniformly, one number per image. Standard deviations are for images in [0, 1]."""


@runtime_checkable
class Family(Protocol):
    """Degradations of one kind: one of them for every image of a batch."""

    def draw(self, x: Image, generator: torch.Generator) -> Measurement: ...


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """White noise of a random level.

    Arguments:
        std: range of the standard deviation.
        eight_bit: measurements are clipped to [0, 1] and rounded to 8 bits, as a file holds them;
            otherwise they keep the noise whole. The two are different benchmarks.
    """

    std: Range = (5 / 255, 50 / 255)
    eight_bit: bool = False

    def draw(self, x: Image, generator: torch.Generator) -> Measurement:
        """A measurement of every image."""
        return _measured(x, Identity(), self.std, self.eight_bit, generator)


@dataclass(frozen=True, kw_only=True)
class Deblurring:
    """Camera shake and a little noise.

    Arguments:
        size: rows and columns of the kernels.
        std: range of the standard deviation.
        boundary: `valid` in the papers.
        psfs: kernels to choose from, (n 1 size size), each turned and mirrored at random; new
            random walks for every image when not given (about a millisecond each).
        eight_bit: measurements are clipped and rounded to 8 bits.
    """

    size: int = 21
    std: Range = (1 / 255, 5 / 255)
    boundary: Boundary = "valid"
    psfs: Tensor | None = None
    eight_bit: bool = False

    def draw(self, x: Image, generator: torch.Generator) -> Measurement:
        """A measurement of every image."""
        if self.psfs is None:
            psfs = camera_shake_psfs(len(x), self.size, generator)
        else:
            psfs = _chosen(self.psfs, len(x), generator)
        operator = Blur(psfs.to(x), self.boundary)
        return _measured(x, operator, self.std, self.eight_bit, generator)


@dataclass(frozen=True, kw_only=True)
class SuperResolution:
    """A noisy anisotropic Gaussian, every s-th pixel, and a little noise.

    Arguments:
        factor: s.
        size: rows and columns of the kernels.
        std: range of the standard deviation.
        boundary: of the blur.
        variances, roughness: of the kernels, see `super_resolution_psfs`.
        psfs: kernels to choose from instead, as for `Deblurring`.
        eight_bit: measurements are clipped and rounded to 8 bits.
    """

    factor: int = 2
    size: int = 13
    std: Range = (1 / 255, 5 / 255)
    boundary: Boundary = "replicate"
    variances: Range = (0.35, 5.0)
    roughness: float = 0.4
    psfs: Tensor | None = None
    eight_bit: bool = False

    def draw(self, x: Image, generator: torch.Generator) -> Measurement:
        """A measurement of every image; its sides must be multiples of the factor."""
        if self.psfs is None:
            psfs = super_resolution_psfs(
                len(x),
                self.factor,
                generator,
                size=self.size,
                variances=self.variances,
                roughness=self.roughness,
            )
        else:
            psfs = _chosen(self.psfs, len(x), generator)
        operator = Downsample(self.factor) @ Blur(psfs.to(x), self.boundary)
        return _measured(x, operator, self.std, self.eight_bit, generator)


@dataclass(frozen=True, kw_only=True)
class Inpainting:
    """Pixels lost at random, and a little noise on the others.

    Arguments:
        lost: range of the fraction that is lost.
        std: range of the standard deviation.
        block: what is lost are squares of this many pixels a side.
        apart: each channel loses pixels of its own; otherwise all lose the same ones.
        eight_bit: measurements are clipped and rounded to 8 bits.
    """

    lost: Range = (0.1, 0.9)
    std: Range = (1 / 255, 5 / 255)
    block: int = 1
    apart: bool = False
    eight_bit: bool = False

    def draw(self, x: Image, generator: torch.Generator) -> Measurement:
        """A measurement of every image; it is exactly 0 where a pixel is lost."""
        b, c, h, w = x.shape
        lost = per_sample(_uniform(self.lost, b, x, generator), x)
        grid = b, c if self.apart else 1, -(-h // self.block), -(-w // self.block)
        chance = torch.rand(grid, generator=generator, device=generator.device).to(x)
        whole = chance.repeat_interleave(self.block, 2).repeat_interleave(self.block, 3)
        operator = Mask((whole[..., :h, :w] >= lost).to(x))
        seen = _measured(x, Identity(), self.std, self.eight_bit, generator)
        return Measurement(operator(seen.y), operator, seen.likelihood)


def rounded(y: Tensor) -> Tensor:
    """What an 8-bit file holds of a measurement: clipped to [0, 1], a multiple of 1/255."""
    return (y.clamp(0, 1) * 255).round() / 255


def _measured(
    x: Image, operator: Operator, std: Range, eight_bit: bool, generator: torch.Generator
) -> Measurement:
    likelihood = Gaussian(_uniform(std, len(x), x, generator))
    y = likelihood.sample(operator(x), generator)
    return Measurement(rounded(y) if eight_bit else y, operator, likelihood)


def _uniform(between: Range, count: int, like: Tensor, generator: torch.Generator) -> Tensor:
    low, high = between
    return low + (high - low) * torch.rand(count, generator=generator, device=generator.device).to(
        like
    )


def _chosen(psfs: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Random members, each in one of its eight orientations."""

    def whole(most: int) -> Tensor:
        draws = torch.randint(most, (count,), generator=generator, device=generator.device)
        return draws.to(psfs.device)

    chosen, ways = psfs[whole(len(psfs))], whole(8).reshape(-1, 1, 1, 1)
    chosen = torch.where(ways % 2 == 1, chosen.flip(-1), chosen)
    chosen = torch.where(ways // 2 % 2 == 1, chosen.flip(-2), chosen)
    return torch.where(ways // 4 == 1, chosen.transpose(-1, -2), chosen)
