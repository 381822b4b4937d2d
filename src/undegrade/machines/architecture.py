"""The recurrent inference machines that can be trained, as settings that rebuild them."""

import json
from dataclasses import dataclass, field
from typing import final

from undegrade.learned.gauss_newton_features import GaussNewtonSettings
from undegrade.learned.gradient_features import GradientSettings
from undegrade.learned.least_squares_features import LeastSquaresFeatures
from undegrade.learned.rim import RIM
from undegrade.learned.schedule import GeometricErrors, ListedErrors
from undegrade.machines.schema import from_json, to_json
from undegrade.networks.gated_cell import GatedSettings
from undegrade.networks.multiscale_cell import MultiscaleSettings
from undegrade.networks.residual_cell import ResidualSettings
from undegrade.parametrizations.pointwise import Affine, Sigmoid


@final
@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A recurrent inference machine: its parts, each as its own settings.

    Good values:
        those of `ARCHITECTURES`; the defaults are `universal`.

    Arguments:
        cell: the network.
        features: what it is shown.
        parametrization: from the space of its steps to images.
        colors: channels of the images that it is made for; at 1 it is trained on gray ones alone.
        steps: of a restoration.

    Raises:
        ValueError: `colors` or `steps` below 1.
    """

    cell: MultiscaleSettings | ResidualSettings | GatedSettings = field(
        default_factory=MultiscaleSettings
    )
    features: LeastSquaresFeatures | GaussNewtonSettings | GradientSettings = field(
        default_factory=LeastSquaresFeatures
    )
    parametrization: Affine | Sigmoid = field(default_factory=Affine)
    colors: int = 3
    steps: int = 4

    def __post_init__(self) -> None:
        if self.colors < 1 or self.steps < 1:
            raise ValueError(
                f"expected one color and one step or more, got {self.colors} and {self.steps}"
            )

    def build(self) -> RIM:
        """The machine, with weights drawn from torch's global generator."""
        features = self.features.build()
        cell = self.cell.build(features.channels(self.colors), self.colors)
        return RIM(cell, features, self.parametrization, colors=self.colors, steps=self.steps)


ARCHITECTURES: dict[str, Architecture] = {
    "universal": Architecture(),
    "denoising": Architecture(
        features=LeastSquaresFeatures(
            schedule=ListedErrors(), strength=1.0, floor=0.003, cg_iterations=3, base="x"
        ),
        steps=2,
    ),
    "gauss-newton": Architecture(features=GaussNewtonSettings()),
    "residual": Architecture(
        cell=ResidualSettings(),
        features=GradientSettings(),
        parametrization=Affine(0.5, 0.5),
        steps=10,
    ),
    "gated": Architecture(
        cell=GatedSettings(), features=GradientSettings(), parametrization=Sigmoid(), steps=20
    ),
}
"""Ours: for every degradation, noise alone, with learned damping; LGD's; Putzky and Welling's."""

_KINDS: dict[str, type] = {
    "multiscale": MultiscaleSettings,
    "residual": ResidualSettings,
    "gated": GatedSettings,
    "least squares": LeastSquaresFeatures,
    "gauss newton": GaussNewtonSettings,
    "gradient": GradientSettings,
    "geometric": GeometricErrors,
    "listed": ListedErrors,
    "affine": Affine,
    "sigmoid": Sigmoid,
}


def architecture_to_json(architecture: Architecture) -> str:
    """One line that `architecture_from_json` makes the architecture from again."""
    return json.dumps(to_json(architecture, _KINDS))


def architecture_from_json(text: str) -> Architecture:
    """The architecture that `architecture_to_json` wrote.

    Raises:
        ValueError: not such a line, or a setting that does not exist, of another type or out of
            range.
    """
    try:
        return from_json(Architecture, json.loads(text), _KINDS)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not the settings of a recurrent inference machine: {error}") from error
