"""The method that is known to be best for a measurement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch

from undegrade.core.measurement import Measurement, require_measurement
from undegrade.core.solver import Observer, Result
from undegrade.likelihoods import NOISES
from undegrade.machines.decompression import decompression
from undegrade.machines.working_measurement import keeps_flat_pictures
from undegrade.restorers.choice import Choice
from undegrade.restorers.recurrent_inference import (
    DENOISING,
    UNIVERSAL,
    RecurrentInference,
    kind_of_weights,
)
from undegrade.restorers.variational import Variational

_COLORS = (1, 3)  # channels that the learned method takes
_DARK, _DIM = 1e-4, 0.8  # what white may become where it is not seen, and where it is
_BACKGROUND = 0.25  # share of such entries: half of them where nothing else is in the picture
_TRAINED = "the learned method was trained on blur, low resolution and missing pixels"

# what docs/learned.md measured, by the weights that are taken
_GAINS = {
    DENOISING: "noise alone, where it is 1 to 4 dB above total variation on photographs",
    UNIVERSAL: "a known linear degradation, where it is 0.2 to 3 dB above total variation on "
    "photographs",
}
_CAMERA = (
    "a camera's response, where it is 1 to 1.6 dB above total variation on photographs "
    "(docs/nonlinear.md)"
)
_JPEG = (
    "a JPEG file, where noise removal within its intervals is 1 dB above the file and total "
    "variation is not (docs/nonlinear.md)"
)


@final
@dataclass(frozen=True, kw_only=True)
class Automatic:
    """The learned method where it was measured to be better, else total variation.

    Learned where the degradation is linear, or that of a camera on a picture encoded as its files
    are, acts on each channel by itself and leaves white as it is, the noise is of a known kind, and
    the picture has 1 or 3 channels: see the tables in docs/learned.md and docs/nonlinear.md. Where
    the picture is linear light `RecurrentInference` is better behind most blurs, behind a square it
    is not: there the choice is yours. `choose` says which, and why. Pictures unlike photographs
    (text, diagrams) may be better with `Variational`, which is taken for stars on a background that
    was taken away.
    """

    def restore(self, measurement: Measurement, *, observe: Sequence[Observer] = ()) -> Result[Any]:
        return self.choose(measurement).restorer.restore(measurement, observe=observe)

    def choose(self, measurement: Measurement) -> Choice:
        """The method for a measurement, with the reason."""
        require_measurement(measurement)
        if decompression(measurement) is not None:
            return Choice(name="learned", restorer=RecurrentInference(), reason=_JPEG)
        obstacle = _obstacle(measurement)
        if obstacle:
            return Choice(name="variational", restorer=Variational(), reason=obstacle)
        linear = measurement.operator.linear
        reason = _GAINS[kind_of_weights(measurement)] if linear else _CAMERA
        return Choice(name="learned", restorer=RecurrentInference(), reason=reason)


def _obstacle(measurement: Measurement) -> str:
    """Why the learned method is not taken; empty where it is."""
    operator, likelihood = measurement.operator, measurement.likelihood
    if not (operator.linear or keeps_flat_pictures(operator, measurement.y)):
        return (
            "the degradation is not linear and changes flat pictures, where the learned method is "
            "not better in every case"
        )
    if type(likelihood) not in {noise.kind for noise in NOISES.values()}:
        return f"the learned method was not measured on {type(likelihood).__name__} noise"
    channels = operator.initial(measurement.y).shape[1]
    if channels not in _COLORS:
        return f"the learned method is for 1 or 3 channels, and there are {channels}"
    if _mostly_background(measurement):
        return "much of the picture is noise below zero, as of stars whose sky was taken away"
    return _unlike_training(measurement)


def _mostly_background(measurement: Measurement) -> bool:
    """Whether many entries are a little below zero: noise about a background of none.

    The learned method keeps inside of the range of pictures, and adds light there.
    """
    deviations = measurement.y * measurement.precision.sqrt()
    return bool(((deviations < 0) & (deviations > -3)).float().mean() > _BACKGROUND)


def _unlike_training(measurement: Measurement) -> str:
    """In what an operator differs from all blurs, low resolutions and masks; empty if in nothing.

    Those act on every channel by itself, and leave a white picture white where it is seen.
    """
    y, operator = measurement.y, measurement.operator
    x = torch.ones_like(operator.initial(y))
    white, red = operator(x), operator(x * (torch.arange(x.shape[1]).to(x) == 0)[:, None, None])
    if red.shape[:2] != x.shape[:2] or bool((red[:, 1:].abs() > _DARK).any()):
        return f"{_TRAINED}, and this degradation mixes channels"
    seen = white[white.abs() > _DARK]
    if seen.numel() and not _DIM < float(seen.median()) < 1 / _DIM:
        return f"{_TRAINED}, and this degradation makes white {float(seen.median()):.2g}"
    return ""
