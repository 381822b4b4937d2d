"""How good a machine is on pictures that it was not trained on."""

from collections.abc import Callable, Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from undegrade.core.functional import Fidelity
from undegrade.core.image import Image, PerSample
from undegrade.core.restorer import Measurement
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.operators.blur import Blur
from undegrade.operators.camera_shake import camera_shake_psfs
from undegrade.operators.downsampling import Downsample
from undegrade.operators.identity import Identity
from undegrade.operators.mask import Mask
from undegrade.operators.super_resolution_psf import super_resolution_psf
from undegrade.solvers.rim import RIM
from undegrade.training.mixture import luminance

Degrade = Callable[[Image, torch.Generator], tuple[Tensor, Measurement]]
"""A picture and a generator ↦ the truth and what was measured of it."""


@final
class Validation:
    """Mean PSNR over pictures, for one fixed degradation of each kind.

    The noise is drawn on the CPU, picture by picture from the same seed, so that every machine and
    every iteration sees the same measurements.

    Arguments:
        pictures: (h, w, 3) uint8.
        device: where the machine runs.
    """

    def __init__(self, pictures: Sequence[np.ndarray], device: torch.device) -> None:
        self.pictures, self.device = list(pictures), device

    def __call__(self, rim: RIM, steps: int, names: Sequence[str] = ()) -> dict[str, float]:
        """Mean PSNR in decibels for every degradation, or those named; none without pictures."""
        chosen = (names or tuple(DEGRADATIONS)) if self.pictures else ()
        return {name: self._mean(rim, steps, name) for name in chosen}

    @torch.no_grad()
    def _mean(self, rim: RIM, steps: int, name: str) -> float:
        values = list[Tensor]()
        for i, picture in enumerate(self.pictures):
            x = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
            x, measurement = DEGRADATIONS[name](x, torch.Generator().manual_seed(1000 + i))
            values.append(decibels(restored(rim, steps, measurement, self.device).cpu(), x)[0])
        return float(torch.stack(values).mean())


def restored(rim: RIM, steps: int, measurement: Measurement, device: torch.device) -> Image:
    """The machine's estimate after `steps` steps, clipped to [0, 1]."""
    y = measurement.y.to(device)
    operator, likelihood = measurement.operator.to(device), measurement.likelihood.to(device)
    problem = Fidelity(operator, likelihood, y)
    state = rim.init(problem, operator.initial(y))
    for _ in range(steps):
        state = rim.step(problem, state)
    return state.x.clamp(0, 1)


def decibels(x: Image, truth: Image) -> PerSample:
    """PSNR of every picture, with respect to a range of 1."""
    return -10 * (x - truth).square().flatten(1).mean(1).log10()


def _denoising(x: Image, generator: torch.Generator, std: float, rounded: bool) -> Measurement:
    eta = Gaussian(std / 255)
    y = eta.sample(x, generator)
    return Measurement((y.clamp(0, 1) * 255).round() / 255 if rounded else y, Identity(), eta)


def _colored(std: float, rounded: bool = False) -> Degrade:
    return lambda x, g: (x, _denoising(x, g, std, rounded))


def _gray(std: float) -> Degrade:
    return lambda x, g: (luminance(x), _denoising(luminance(x), g, std, False))


def _shaken(x: Image, g: torch.Generator) -> tuple[Tensor, Measurement]:
    psf = camera_shake_psfs(1, 21, g)
    eta = Gaussian((1 + 4 * float(torch.rand((), generator=g))) / 255)
    operator = Blur(psf, "periodic")
    return x, Measurement(eta.sample(operator(x), g), operator, eta)


def _low_resolution(x: Image, g: torch.Generator) -> tuple[Tensor, Measurement]:
    x = x[..., : x.shape[-2] // 2 * 2, : x.shape[-1] // 2 * 2]
    eta = Gaussian((1 + 4 * float(torch.rand((), generator=g))) / 255)
    operator = Downsample(2) @ Blur(super_resolution_psf(2, g), "replicate")
    return x, Measurement(eta.sample(operator(x), g), operator, eta)


def _holes(x: Image, g: torch.Generator) -> tuple[Tensor, Measurement]:
    operator, eta = Mask(torch.rand(x.shape, generator=g) > 0.5), Gaussian(1 / 510)
    return x, Measurement(operator(x), operator, eta)


DEGRADATIONS: dict[str, Degrade] = {
    "color 25 8-bit": _colored(25.0, True),
    "color 15": _colored(15.0),
    "color 25": _colored(25.0),
    "color 50": _colored(50.0),
    "gray 25": _gray(25.0),
    "shake": _shaken,
    "resolution 2": _low_resolution,
    "missing 50%": _holes,
}
