"""How often each family of degradations is trained on, and how strong it is."""

from dataclasses import dataclass
from typing import final

import torch

from undegrade.training.mixture import (
    Deblurring,
    Denoising,
    Inpainting,
    SuperResolution,
    Task,
    random_kernels,
)


@final
@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Shares of the batches, in any unit, and the strongest noise in 8-bit levels.

    Arguments:
        denoising: share of the batches that are noisy only; 0 leaves a task out.
        deblurring: share of those with a random known kernel.
        super_resolution: share of those of 2, 3 or 4 times lower resolution.
        inpainting: share of those with pixels missing.
        gray: share of the denoising batches without color.
        noise: largest standard deviation for denoising.
        blur_noise: the same for deblurring.
        resolution_noise: the same for super-resolution.
        inpainting_noise: the same for inpainting.
    """

    denoising: float = 0.5
    deblurring: float = 0.2
    super_resolution: float = 0.15
    inpainting: float = 0.15
    gray: float = 0.2
    noise: float = 55.0
    blur_noise: float = 15.0
    resolution_noise: float = 8.0
    inpainting_noise: float = 20.0

    def tasks(self, generator: torch.Generator) -> tuple[tuple[Task, ...], torch.Tensor]:
        """The tasks with a share, and their shares.

        Raises:
            ValueError: a negative share, or none at all.
        """
        shares = (self.denoising, self.deblurring, self.super_resolution, self.inpainting)
        if min(shares) < 0 or sum(shares) == 0:
            raise ValueError(f"the shares of the tasks must be 0 or more, got {shares}")
        kernels = random_kernels(generator, per_kind=200 if sum(shares[1:3]) else 2)
        tasks: tuple[Task, ...] = (
            Denoising(stds=(0.0, self.noise / 255), gray=self.gray),
            Deblurring(kernels=kernels, stds=(0.5 / 255, self.blur_noise / 255)),
            SuperResolution(kernels=kernels, stds=(0.0, self.resolution_noise / 255)),
            Inpainting(stds=(0.0, self.inpainting_noise / 255)),
        )
        used = [(task, share) for task, share in zip(tasks, shares, strict=True) if share]
        return tuple(t for t, _ in used), torch.tensor([float(share) for _, share in used])
