"""The degradations that a universal network is trained on, drawn anew for every batch."""

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, final, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from undegrade.core.image import Image, PerSample
from undegrade.core.operator import Operator
from undegrade.core.restorer import Measurement
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.operators.blur import Blur
from undegrade.operators.camera_shake import camera_shake_psfs
from undegrade.operators.downsampling import Downsample
from undegrade.operators.identity import Identity
from undegrade.operators.mask import Mask
from undegrade.operators.padding import Boundary
from undegrade.operators.psf import disk_psf, gaussian_psf, motion_psf
from undegrade.operators.super_resolution_psf import super_resolution_psfs

FINEST = 1 / 510  # no network is told of less noise than half a gray level
KERNEL = 25


class Dice(NamedTuple):
    """Two generators: `host` for the few numbers, `device` for whole images of noise."""

    host: torch.Generator
    device: torch.Generator

    def uniform(self, count: int, low: float, high: float) -> PerSample:
        """Numbers from the host, moved to the device."""
        u = low + (high - low) * torch.rand(count, generator=self.host)
        return u.to(self.device.device)

    def chance(self, probability: float) -> bool:
        """Whether it happens this time."""
        return float(torch.rand((), generator=self.host)) < probability


@runtime_checkable
class Task(Protocol):
    """A family of degradations: a random one of them, applied to a batch of crops."""

    def draw(self, x: Image, dice: Dice) -> tuple[Tensor, Measurement]: ...


@final
@dataclass(frozen=True, kw_only=True)
class Denoising:
    """Gaussian noise; some of it clipped and rounded to 8 bits; some pictures gray.

    Arguments:
        stds: of the noise in units of [0, 1].
        rounded: fraction of the pictures that are 8-bit.
        gray: fraction of the batches without color.
    """

    stds: tuple[float, float] = (0.0, 55 / 255)
    rounded: float = 0.5
    gray: float = 0.2

    def draw(self, x: Image, dice: Dice) -> tuple[Tensor, Measurement]:
        """x, and y = x + noise."""
        x = luminance(x) if dice.chance(self.gray) else x
        std = dice.uniform(len(x), *self.stds).clamp(min=FINEST)
        return x, _measured(x, Identity(), std, self.rounded, dice)


@final
@dataclass(frozen=True, kw_only=True)
class Deblurring:
    """A kernel per picture out of `kernels`, periodic or not, and Gaussian noise.

    Arguments:
        kernels: shape (n 1 k k), such as `random_kernels` gives.
        stds: of the noise in units of [0, 1].
        periodic: fraction of the batches with a periodic boundary; the others are halved between
            `valid` and `replicate`, and take several times longer.
        rounded: fraction of the pictures that are 8-bit.
    """

    kernels: Tensor
    stds: tuple[float, float] = (0.5 / 255, 15 / 255)
    periodic: float = 0.7
    rounded: float = 0.3

    def draw(self, x: Image, dice: Dice) -> tuple[Tensor, Measurement]:
        """x, and y = psf ∗ x + noise."""
        psf = _choose(self.kernels, len(x), dice).to(x)
        boundary: Boundary = "periodic"
        if not dice.chance(self.periodic):
            boundary = "valid" if dice.chance(0.5) else "replicate"
        # small noise is common and matters most, hence the square
        u = dice.uniform(len(x), 0.0, 1.0).square()
        std = self.stds[0] + (self.stds[1] - self.stds[0]) * u
        return x, _measured(x, Blur(psf, boundary), std, self.rounded, dice)


@final
@dataclass(frozen=True, kw_only=True)
class SuperResolution:
    """Blur and decimation by 2, 3 or 4, and a little noise.

    Arguments:
        kernels: shape (n 1 k k); half of the batches use these, half anisotropic Gaussians.
        factors: of the decimation.
        stds: of the noise in units of [0, 1]; half of the pictures have none but rounding.
    """

    kernels: Tensor
    factors: tuple[int, ...] = (2, 3, 4)
    stds: tuple[float, float] = (0.0, 8 / 255)

    def draw(self, x: Image, dice: Dice) -> tuple[Tensor, Measurement]:
        """x, and y = decimated (psf ∗ x) + noise."""
        b = len(x)
        factor = self.factors[int(torch.randint(len(self.factors), (), generator=dice.host))]
        x = x[..., : x.shape[-2] // factor * factor, : x.shape[-1] // factor * factor]
        if dice.chance(0.3):
            psf = _choose(self.kernels, b, dice)
        else:
            high = 5.0 * (factor / 2) ** 2
            psf = super_resolution_psfs(
                b,
                factor,
                dice.host,
                size=13 if factor == 2 else KERNEL,
                variances=(0.35, high),
                roughness=0.4 if dice.chance(0.5) else 0.0,
            )
        boundary: Boundary = "periodic" if dice.chance(0.6) else "replicate"
        operator = Downsample(factor) @ Blur(psf.to(x), boundary)
        std = dice.uniform(b, *self.stds) * (dice.uniform(b, 0.0, 1.0) < 0.5)
        return x, _measured(x, operator, std.clamp(min=FINEST), 0.5, dice)


@final
@dataclass(frozen=True, kw_only=True)
class Inpainting:
    """Pixels, single color entries or blocks lost at random; a little noise in half of the images.

    Arguments:
        lost: range of the fraction that is missing.
        stds: of the noise.
    """

    lost: tuple[float, float] = (0.1, 0.9)
    stds: tuple[float, float] = (0.0, 20 / 255)

    def draw(self, x: Image, dice: Dice) -> tuple[Tensor, Measurement]:
        """x, and y = observed·(x + noise)."""
        b, c, h, w = x.shape
        lost = dice.uniform(b, *self.lost).reshape(-1, 1, 1, 1)
        kind = float(torch.rand((), generator=dice.host))
        channels, block = (c, 1) if kind < 0.5 else (1, 1) if kind < 0.8 else (1, 6)
        grid = (b, channels, -(-h // block), -(-w // block))
        chance = torch.rand(grid, generator=dice.device, device=dice.device.device)
        chance = chance.repeat_interleave(block, 2).repeat_interleave(block, 3)[..., :h, :w]
        observed = (chance >= (lost if block == 1 else 0.5 * lost)).to(x)
        std = dice.uniform(b, *self.stds) * (dice.uniform(b, 0.0, 1.0) < 0.5)
        seen = _measured(x, Mask(observed), std.clamp(min=FINEST), 0.5, dice)
        return x, replace(seen, y=seen.y * observed)


def luminance(x: Image) -> Float[Tensor, "b 1 h w"]:
    """ITU-R BT.601 gray of a color image, one channel."""
    return (x * x.new_tensor((0.299, 0.587, 0.114)).reshape(1, 3, 1, 1)).sum(1, keepdim=True)


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


def _choose(kernels: Tensor, count: int, dice: Dice) -> Tensor:
    which = torch.randint(len(kernels), (count,), generator=dice.host)
    return kernels[which.to(kernels.device)]


def _measured(
    x: Image, operator: Operator, std: PerSample, rounded: float, dice: Dice
) -> Measurement:
    likelihood = Gaussian(std)
    y = likelihood.sample(operator(x), dice.device)
    some = (dice.uniform(len(x), 0.0, 1.0) < rounded).reshape(-1, 1, 1, 1)
    y = torch.where(some, (y.clamp(0, 1) * 255).round() / 255, y)
    return Measurement(y, operator, likelihood)
