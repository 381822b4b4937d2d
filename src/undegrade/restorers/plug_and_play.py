"""Half-quadratic splitting around any denoiser."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, final

from undegrade.core.image import Image, PerSample
from undegrade.core.measurement import Measurement, require_measurement
from undegrade.core.ranges import POSITIVE, Range, check_ranges
from undegrade.core.solver import Observer, Result
from undegrade.learned.denoiser_cell import Denoiser, DenoiserCell
from undegrade.learned.least_squares_features import LeastSquaresFeatures
from undegrade.learned.rim import RIM, RIMState
from undegrade.learned.schedule import GeometricErrors
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.operators.identity import Identity
from undegrade.parametrizations.pointwise import Affine
from undegrade.restorers.initial import first_estimate
from undegrade.restorers.recurrent_inference import RecurrentInference, restored_by


@final
@dataclass(frozen=True)
class ShippedDenoiser:
    """The package's network for white noise."""

    def __call__(self, x: Image, std: PerSample) -> Image:
        """The picture without noise of this standard deviation."""
        return RecurrentInference().restore(Measurement(x, Identity(), Gaussian(std))).x


_DENOISER, _SCHEDULE = ShippedDenoiser(), GeometricErrors()


@final
@dataclass(frozen=True, kw_only=True)
class PlugAndPlay:
    """Plug and play: a denoiser of your own between moves toward the measurement.

    Step k moves the estimate to z by least squares regularized around it, and takes the denoiser of
    z at standard deviation τₖ for the next estimate (half-quadratic splitting). It needs no
    training for the degradation. `RecurrentInference` is trained in the same steps, and better by
    about what that training gives.

    References:
        Venkatakrishnan, Bouman and Wohlberg, Plug-and-play priors for model based reconstruction
        (2013); Zhang et al., Plug-and-play image restoration with deep denoiser prior (2021).

    Good values:
        8 steps; the schedule and strength of `LeastSquaresFeatures`.

    Arguments:
        denoiser: a function of a picture and the standard deviation of its noise, per sample, such
            as a network; it sees as many channels as the picture has.
        steps: how many.
        schedule: how τ falls from the first step to the last.
        strength: λ in μ = λσ²/τ², the weight of the last estimate against the measurement.
        cg_iterations: most conjugate gradient iterations of a move.

    Raises:
        ValueError: settings out of range; `restore` with a non-linear operator, or of a picture
            that the denoiser refuses.
    """

    denoiser: Denoiser = _DENOISER
    steps: Annotated[int, Range(1, 1000)] = 8
    schedule: GeometricErrors = _SCHEDULE
    strength: Annotated[float, POSITIVE] = 0.23
    cg_iterations: Annotated[int, Range(1, 1000)] = 6

    def __post_init__(self) -> None:
        check_ranges(self)

    def restore(
        self, measurement: Measurement, *, observe: Sequence[Observer] = ()
    ) -> Result[RIMState]:
        """The estimate after the last step, clipped to [0, 1]."""
        require_measurement(measurement)
        measurement.operator.as_linear("plug and play diverges elsewhere: use variational")
        features = LeastSquaresFeatures(
            schedule=self.schedule, strength=self.strength, cg_iterations=self.cg_iterations
        )
        colors = first_estimate(measurement).shape[1]
        cell = DenoiserCell(self.denoiser, features, colors)
        rim = RIM(cell, features, Affine(), colors=colors, steps=self.steps)
        return restored_by(rim, measurement, observe=observe)
