"""Random degradations, for whole batches: every image its own."""

import math
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from undegrade.core.image import Image
from undegrade.core.likelihood import Likelihood
from undegrade.core.measurement import Measurement
from undegrade.degradations.degradation import Degradation, Scene
from undegrade.degradations.named_operator import Shape
from undegrade.kernels.camera_shake import camera_shake_psfs
from undegrade.kernels.super_resolution import super_resolution_psfs
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample
from undegrade.operators.mask import Mask
from undegrade.operators.padding import Boundary
from undegrade.operators.response import Curve, Response

Range = tuple[float, float]
"""From, to: drawn uniformly, one number per image. Standard deviations are for images in [0, 1]."""


@runtime_checkable
class RandomDegradation(Protocol):
    """Degradations of one kind: `draw` gives one of them for every image of a batch.

    The shape of what is drawn is that of the pictures (b, c, h, w), or the largest part of it that
    the degradation takes.
    """

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Degradation: ...


def measured(
    x: Image, degradations: RandomDegradation, generator: torch.Generator
) -> tuple[Tensor, Measurement]:
    """The part of every picture that its degradation takes, and a measurement of it."""
    drawn = degradations.draw(x.shape, generator)
    x = x[..., : drawn.shape[1], : drawn.shape[2]]
    return x, drawn.measurement(drawn.degrade(x, generator))


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """White noise of a random level.

    Arguments:
        std: range of the standard deviation.
        bits: measurements are clipped to [0, 1] and rounded to as many bits, as a file holds them;
            None keeps the noise whole. The two are different benchmarks.
    """

    std: Range = (5 / 255, 50 / 255)
    bits: int | None = None

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Degradation:
        """One level for every image."""
        likelihood = _noise(self.std, shape, generator)
        return Degradation(shape=_of_one(shape), likelihood=likelihood, bits=self.bits)


@dataclass(frozen=True, kw_only=True)
class Deblurring:
    """Camera shake and a little noise.

    Arguments:
        size: rows and columns of the kernels.
        std: range of the standard deviation.
        boundary: `valid` in the papers.
        psfs: kernels to choose from, (n 1 size size), each turned and mirrored at random; new
            random walks for every image when not given (about a millisecond each).
        bits: measurements are clipped and rounded to as many bits.
    """

    size: int = 21
    std: Range = (1 / 255, 5 / 255)
    boundary: Boundary = "valid"
    psfs: Tensor | None = None
    bits: int | None = None

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Degradation:
        """One kernel and level for every image."""
        if self.psfs is None:
            psfs = camera_shake_psfs(shape[0], self.size, generator)
        else:
            psfs = _chosen(self.psfs, shape[0], generator)
        return Degradation(
            shape=_of_one(shape),
            blur=Blur(psfs, self.boundary),
            likelihood=_noise(self.std, shape, generator),
            bits=self.bits,
        )


@dataclass(frozen=True, kw_only=True)
class Photographing:
    """A blur in light behind the response of a camera, and noise on what that makes of it.

    Arguments:
        blurring: the blur, and the noise of what is measured.
        curve: from light to measured values.
        scene: "encoded" where the pictures hold values of this curve, as files do: then blur sees
            their light; "linear" where they are taken for light.
    """

    blurring: Deblurring
    curve: Curve
    scene: Scene = "encoded"

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Degradation:
        """One kernel and level for every image, the same curve for all."""
        drawn = self.blurring.draw(shape, generator)
        return replace(drawn, response=Response(self.curve), scene=self.scene)


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
        bits: measurements are clipped and rounded to as many bits.
    """

    factor: int = 2
    size: int = 13
    std: Range = (1 / 255, 5 / 255)
    boundary: Boundary = "replicate"
    variances: Range = (0.35, 5.0)
    roughness: float = 0.4
    psfs: Tensor | None = None
    bits: int | None = None

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Degradation:
        """One kernel and level for every image, whose sides are cut to multiples of the factor."""
        if self.psfs is None:
            psfs = super_resolution_psfs(
                shape[0],
                self.factor,
                generator,
                size=self.size,
                variances=self.variances,
                roughness=self.roughness,
            )
        else:
            psfs = _chosen(self.psfs, shape[0], generator)
        channels, *sides = _of_one(shape)
        height, width = (n // self.factor * self.factor for n in sides)
        return Degradation(
            shape=(channels, height, width),
            blur=Blur(psfs, self.boundary),
            downsample=Downsample(self.factor),
            likelihood=_noise(self.std, shape, generator),
            bits=self.bits,
        )


@dataclass(frozen=True, kw_only=True)
class Inpainting:
    """Pixels lost at random, and a little noise on the others.

    Arguments:
        lost: range of the fraction that is lost.
        std: range of the standard deviation.
        block: what is lost are squares of this many pixels a side.
        apart: each channel loses pixels of its own; otherwise all lose the same ones.
        bits: measurements are clipped and rounded to as many bits.
    """

    lost: Range = (0.1, 0.9)
    std: Range = (1 / 255, 5 / 255)
    block: int = 1
    apart: bool = False
    bits: int | None = None

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Degradation:
        """One mask and level for every image."""
        count, (channels, height, width) = shape[0], _of_one(shape)
        lost = _uniform(self.lost, count, generator).reshape(-1, 1, 1, 1)
        rows, columns = (math.ceil(n / self.block) for n in (height, width))
        grid = count, channels if self.apart else 1, rows, columns
        chance = torch.rand(grid, generator=generator, device=generator.device)
        whole = chance.repeat_interleave(self.block, 2).repeat_interleave(self.block, 3)
        return Degradation(
            shape=(channels, height, width),
            mask=Mask(whole[..., :height, :width] >= lost),
            likelihood=_noise(self.std, shape, generator),
            bits=self.bits,
        )


def _of_one(shape: tuple[int, ...]) -> Shape:
    return shape[-3], shape[-2], shape[-1]


def _noise(std: Range, shape: tuple[int, ...], generator: torch.Generator) -> Likelihood:
    return Gaussian(_uniform(std, shape[0], generator))


def _uniform(between: Range, count: int, generator: torch.Generator) -> Tensor:
    low, high = between
    return low + (high - low) * torch.rand(count, generator=generator, device=generator.device)


def _chosen(psfs: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Random members, each in one of its eight orientations, on the generator's device."""

    def whole(most: int) -> Tensor:
        return torch.randint(most, (count,), generator=generator, device=generator.device)

    psfs = psfs.to(generator.device)
    chosen, ways = psfs[whole(len(psfs))], whole(8).reshape(-1, 1, 1, 1)
    chosen = torch.where(ways % 2 == 1, chosen.flip(-1), chosen)
    chosen = torch.where(ways // 2 % 2 == 1, chosen.flip(-2), chosen)
    return torch.where(ways // 4 == 1, chosen.transpose(-1, -2), chosen)
