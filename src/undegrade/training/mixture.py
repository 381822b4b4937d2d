"""The degradations that a universal network is trained on, and how often each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple, final

import torch
from torch import Tensor
from torch.nn import functional

from undegrade.core.image import Image
from undegrade.core.measurement import Measurement
from undegrade.degradations.random import (
    Deblurring,
    Denoising,
    Inpainting,
    Photographing,
    RandomDegradation,
    Range,
    SuperResolution,
    measured,
)
from undegrade.kernels.camera_shake import camera_shake_psfs
from undegrade.kernels.formulas import disk_psf, gaussian_psf, motion_psf
from undegrade.learned.quadratic_model import FINEST
from undegrade.metrics.luma import gray
from undegrade.operators.padding import Boundary
from undegrade.operators.response import Curve
from undegrade.operators.response_curves import SRGB, Gamma

KERNEL = 25


class Task(NamedTuple):
    """Random degradations of color pictures, or of their luma, and how often they are drawn."""

    degradations: RandomDegradation
    gray: bool = False
    share: float = 1.0

    def of(self, colors: int) -> "Task":
        """The same for a machine of so many channels: one of a single channel sees gray alone."""
        return self._replace(gray=self.gray or colors == 1)

    def draw(self, x: Image, generator: torch.Generator) -> tuple[Tensor, Measurement]:
        """The truth (gray, or cut to what the degradation takes) and a measurement of it."""
        return measured(gray(x) if self.gray else x, self.degradations, generator)


@final
@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Shares of the batches, in any unit, and the strongest noise in 8-bit levels.

    Arguments:
        denoising: share of the batches that are noisy only; 0 leaves a task out.
        deblurring: share of those with a random known kernel.
        super_resolution: share of those of 2, 3 or 4 times lower resolution.
        inpainting: share of those with pixels missing.
        cameras: share of those with a random known kernel in light, seen through the response of a
            camera (gamma 2.2 or sRGB): a non-linear operator. Pictures are what a file holds.
        gray: share of the denoising batches without color.
        noise: largest standard deviation for denoising.
        blur_noise: the same for deblurring, and for cameras.
        resolution_noise: the same for super-resolution.
        inpainting_noise: the same for inpainting.
    """

    denoising: float = 0.5
    deblurring: float = 0.2
    super_resolution: float = 0.15
    inpainting: float = 0.15
    cameras: float = 0.0
    gray: float = 0.2
    noise: float = 55.0
    blur_noise: float = 45.0
    resolution_noise: float = 8.0
    inpainting_noise: float = 20.0

    def tasks(self, generator: torch.Generator) -> list[Task]:
        """All tasks with a share.

        Raises:
            ValueError: a negative share, or none at all; negative noise; gray outside [0, 1].
        """
        shares = (
            self.denoising,
            self.deblurring,
            self.super_resolution,
            self.cameras,
            self.inpainting,
        )
        levels = (self.noise, self.blur_noise, self.resolution_noise, self.inpainting_noise)
        if not all(share >= 0 for share in shares) or sum(shares) == 0:
            raise ValueError(f"expected shares of 0 or more for the tasks, not all 0, got {shares}")
        if not all(level >= 0 for level in levels):
            raise ValueError(f"expected noise of 0 or more, in 8-bit levels, got {levels}")
        if not 0 <= self.gray <= 1:
            raise ValueError(f"expected a share of gray pictures in [0, 1], got {self.gray}")
        noise, blur_noise, resolution_noise, inpainting_noise = (
            max(level / 255, FINEST) for level in levels
        )
        kernels = random_kernels(generator, per_kind=200 if sum(shares[1:4]) else 2)
        groups = (
            _denoising(noise, self.gray),
            _deblurring(blur_noise, kernels),
            _super_resolution(resolution_noise, kernels),
            _cameras(blur_noise, kernels),
            _inpainting(inpainting_noise),
        )
        return [
            task._replace(share=share * task.share)
            for share, group in zip(shares, groups, strict=True)
            for task in group
            if share * task.share > 0
        ]


def _denoising(noise: float, gray: float) -> Sequence[Task]:
    """Half of the pictures are files of 8 bits; little noise is rare if all levels are alike."""
    levels = (noise, 0.9), (max(noise / 9, FINEST), 0.1)
    colors = (False, 1 - gray), (True, gray)
    return [
        Task(Denoising(std=(FINEST, level), bits=bits), colorless, share * part / 2)
        for (level, share), (colorless, part), bits in product(levels, colors, (None, 8))
    ]


def _deblurring(noise: float, kernels: Tensor) -> Sequence[Task]:
    """Blurs that do not wrap around take longer."""
    boundaries: dict[Boundary, float] = {"periodic": 0.7, "valid": 0.15, "replicate": 0.15}
    return [Task(blur, share=share) for blur, share in _blurs(noise, kernels, boundaries)]


def _blurs(
    noise: float, kernels: Tensor, boundaries: Mapping[Boundary, float]
) -> Sequence[tuple[Deblurring, float]]:
    """Kinds of blur with their shares: little noise is common and matters most."""
    least, little = (max(noise / k, FINEST) for k in (9, 3))
    stds: Sequence[tuple[Range, float]] = (
        ((FINEST, least), 0.55),
        ((least, little), 0.25),
        ((little, noise), 0.2),
    )
    files = {None: 0.7, 8: 0.3}
    return [
        (
            Deblurring(psfs=kernels, boundary=boundary, std=std, bits=bits),
            boundaries[boundary] * share * files[bits],
        )
        for boundary, (std, share), bits in product(boundaries, stds, files)
    ]


def _cameras(noise: float, kernels: Tensor) -> Sequence[Task]:
    """No boundary is quicker than another here, so that those of photographs are common.

    Pictures are encoded, as files are. In linear light the response is so steep at black that one
    step below it measures as tens of white: steps of any kind, cut off early, ran away.
    """
    boundaries: dict[Boundary, float] = {"replicate": 0.6, "valid": 0.2, "periodic": 0.2}
    curves: Sequence[Curve] = (Gamma(2.2), SRGB())
    return [
        Task(Photographing(blurring=blur, curve=curve), share=share / len(curves))
        for (blur, share), curve in product(_blurs(noise, kernels, boundaries), curves)
    ]


def _super_resolution(noise: float, kernels: Tensor) -> Sequence[Task]:
    """Factors 2, 3 and 4; half of the pictures without noise but rounding."""
    boundaries: dict[Boundary, float] = {"periodic": 0.6, "replicate": 0.4}
    roughness: dict[float | None, float] = {0.0: 0.35, 0.4: 0.35, None: 0.3}  # None: any kernel
    return [
        Task(
            SuperResolution(
                factor=factor,
                # as the test protocol draws for ×2, and as wide relative to the factor beyond
                size=13 if factor == 2 else KERNEL,
                variances=(0.35, 5.0 * (factor / 2) ** 2),
                roughness=rough or 0.0,
                psfs=kernels if rough is None else None,
                boundary=boundary,
                std=(FINEST, FINEST if exact else noise),
                bits=8 if exact else None,
            ),
            share=boundaries[boundary] * roughness[rough] / 6,
        )
        for factor, boundary, rough, exact in product(
            (2, 3, 4), boundaries, roughness, (False, True)
        )
    ]


def _inpainting(noise: float) -> Sequence[Task]:
    """Pixels, single color entries or blocks; half of the pictures without noise but rounding."""
    # share, colors apart, side of the blocks, fraction lost: blocks of 6 hide more than pixels
    kinds: Sequence[tuple[float, bool, int, Range]] = (
        (0.5, True, 1, (0.1, 0.9)),
        (0.3, False, 1, (0.1, 0.9)),
        (0.2, False, 6, (0.05, 0.45)),
    )
    return [
        Task(
            Inpainting(
                lost=lost,
                apart=apart,
                block=block,
                std=(FINEST, FINEST if exact else noise),
                bits=8 if exact else None,
            ),
            share=share / 2,
        )
        for (share, apart, block, lost), exact in product(kinds, (False, True))
    ]


def random_kernels(generator: torch.Generator, size: int = KERNEL, per_kind: int = 200) -> Tensor:
    """Kernels to draw from, (n 1 size size): as many camera shakes twice as each other kind.

    Camera shakes of sizes 9 to `size`, anisotropic Gaussians, steady motions, disks.
    """

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    sizes = range(9, size + 1, 4)
    shakes = [camera_shake_psfs(2 * per_kind // len(sizes) + 1, k, generator) for k in sizes]
    formed = [
        psf[None, None]
        for _ in range(per_kind)
        for psf in (
            gaussian_psf((uniform(0.5, 4.0), uniform(0.5, 4.0)), size, uniform(0.0, 180.0)),
            motion_psf(uniform(2.0, size - 3.0), uniform(0.0, 180.0)),
            disk_psf(uniform(0.8, size / 2 - 5)),
        )
    ]
    return torch.cat([_padded(psf, size) for psf in (*shakes, *formed)])


def _padded(psf: Tensor, size: int) -> Tensor:
    rows, columns = ((size - n) // 2 for n in psf.shape[-2:])
    return functional.pad(psf, (columns, columns, rows, rows))
