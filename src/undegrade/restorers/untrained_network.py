"""Restoration by a network that is fitted to the one degraded picture and to nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, final

from undegrade.core.functional import Functional
from undegrade.core.image import PerSample
from undegrade.core.likelihood import Likelihood
from undegrade.core.measurement import Measurement
from undegrade.core.objective import Fidelity, Objective
from undegrade.core.ranges import COUNT, POSITIVE, Range, check_ranges
from undegrade.core.solver import Observer, Result, solve
from undegrade.core.stopping import any_of, until
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.laplace import Laplace
from undegrade.networks.skip import Padding
from undegrade.priors.total_variation import TotalVariation
from undegrade.restorers.initial import first_estimate
from undegrade.restorers.skip_drawing import skip_drawing
from undegrade.untrained.averaged import Averaged, AveragedState, OutputVariance
from undegrade.untrained.deep_image_prior import DeepImagePrior
from undegrade.untrained.patience import Patience
from undegrade.untrained.update_rule import Adam

Loss = Literal["likelihood", "gaussian", "laplace"]
# Adam does not see the scale of a loss; with a prior beside it, give the likelihood
_LOSSES: dict[Loss, Likelihood] = {"gaussian": Gaussian(1.0), "laplace": Laplace(1.0)}


@final
@dataclass(frozen=True, kw_only=True)
class UntrainedNetwork:
    """Deep image prior: an untrained network drawn onto the measurement, stopped before noise.

    min over θ of −log p(y | φ(N_θ(z))) + weight · TV(N_θ(z)), by Adam; the result is the average
    of the last pictures. It needs no training data and takes every degradation, and it is slow:
    minutes to hours. It stops where the pictures vary least, without knowing the truth, and keeps
    that iterate. Fails for fine texture, and for gross corruption unless the loss is laplace;
    `RobustUntrainedNetwork` is for that.

    References:
        Ulyanov, Vedaldi and Lempitsky, Deep image prior (2018). Wang, Li, Zhuang, Chen, Liang and
        Sun, Early stopping for deep image prior (2021).

    Good values:
        the defaults; widths 128 128 128 128 128 and reflect as published, for a tenfold time.

    Arguments:
        loss: the likelihood of the measurement, or gaussian or laplace whatever that is.
        weight: of total variation beside the loss; 0 for the method as published.
        widths: channels of the network at each scale, from full resolution down.
        padding: how the network continues the picture beyond its border; zeros is fastest.
        iterations: most iterations.
        patience: iterations without a new least variance after which it stops.
        rate: of Adam.
        decay: how much of the average of pictures survives an iteration.
        seed: of the network's weights, its code and the noise on it.

    Raises:
        ValueError: `restore` where the network does not fit into memory.
    """

    loss: Loss = "likelihood"
    weight: Annotated[float, Range(0, 1e12)] = 0.0
    widths: tuple[int, ...] = (16, 32, 64, 128, 128)
    padding: Padding = "zeros"
    iterations: Annotated[int, COUNT] = 5000
    patience: Annotated[int, COUNT] = 1000
    rate: Annotated[float, POSITIVE] = 0.01
    decay: Annotated[float, Range(0, 1)] = 0.99
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(self)

    def restore(
        self, measurement: Measurement, *, observe: Sequence[Observer] = ()
    ) -> Result[AveragedState]:
        x0 = first_estimate(measurement)
        drawing = skip_drawing(x0, self.widths, self.padding, self.seed)
        prior = DeepImagePrior(drawing=drawing, update=Adam(rate=self.rate))
        solver = Averaged(solver=prior, decay=self.decay)
        stop = any_of(until(iterations=self.iterations), Patience(OutputVariance(), self.patience))
        return solve(solver, self._problem(measurement), x0, stop=stop, observe=(watched, *observe))

    def _problem(self, measurement: Measurement) -> Functional:
        likelihood = _LOSSES.get(self.loss, measurement.likelihood)
        fidelity = Fidelity(measurement.operator, likelihood, measurement.y)
        return Objective(fidelity, TotalVariation(smoothing=_SMOOTHING), self.weight)


_SMOOTHING = 0.004  # Huber's δ, one gray level, as in `Variational`


def watched(iteration: int, state: Any) -> Mapping[str, PerSample]:
    """Loss and variance of an `AveragedState` with an untrained network inside, for the trace."""
    del iteration
    return {"loss": state.inner.loss, "variance": state.variance}
