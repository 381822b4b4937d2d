"""Validation: how good a machine is on pictures that it was not trained on."""

from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from undegrade.core.measurement import Measurement
from undegrade.degradations.random import (
    Deblurring,
    Denoising,
    Inpainting,
    Photographing,
    Range,
    SuperResolution,
)
from undegrade.learned.rim import RIM
from undegrade.metrics.distortion import psnr
from undegrade.operators.response_curves import Gamma
from undegrade.restorers.recurrent_inference import restored_by
from undegrade.training.mixture import Task


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

    def __call__(self, rim: RIM, names: Sequence[str] = ()) -> dict[str, float]:
        """Mean PSNR in decibels for every degradation, or those named; none without pictures."""
        chosen = (names or tuple(DEGRADATIONS)) if self.pictures else ()
        return {name: self._mean(rim, name) for name in chosen}

    def _mean(self, rim: RIM, name: str) -> float:
        values = list[Tensor]()
        for i, picture in enumerate(self.pictures):
            x = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
            x, measurement = DEGRADATIONS[name].draw(x, torch.Generator().manual_seed(1000 + i))
            y, A, eta = measurement.y, measurement.operator, measurement.likelihood
            there = Measurement(y.to(self.device), A.to(self.device), eta.to(self.device))
            values.append(psnr(restored_by(rim, there).x.cpu(), x)[0])
        return float(torch.stack(values).mean())


def _exactly(std: float) -> Range:
    return std / 255, std / 255


DEGRADATIONS: dict[str, Task] = {
    "color 25 8-bit": Task(Denoising(std=_exactly(25.0), bits=8)),
    "color 15": Task(Denoising(std=_exactly(15.0))),
    "color 25": Task(Denoising(std=_exactly(25.0))),
    "color 50": Task(Denoising(std=_exactly(50.0))),
    "gray 25": Task(Denoising(std=_exactly(25.0)), gray=True),
    "shake": Task(Deblurring(boundary="periodic")),
    "camera": Task(Photographing(blurring=Deblurring(boundary="replicate"), curve=Gamma(2.2))),
    "resolution 2": Task(SuperResolution()),
    "missing 50%": Task(Inpainting(lost=(0.5, 0.5), std=_exactly(0.5), apart=True)),
}
