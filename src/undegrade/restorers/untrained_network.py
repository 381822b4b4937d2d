"""Restoration by a network that is fitted to the one degraded picture and to nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, final

from undegrade.core.functional import Functional
from undegrade.core.image import PerSample
from undegrade.core.likelihood import Likelihood
from undegrade.core.measurement import Measurement
from undegrade.core.objective import Fidelity, Objective
from undegrade.core.ranges import COUNT, POSITIVE, Range, check_ranges
from undegrade.core.solver import Observer, Result
from undegrade.core.stopping import Stop, any_of, until
from undegrade.learned.autocast_cell import Precision
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.laplace import Laplace
from undegrade.machines.refitted import fit_and_refit
from undegrade.machines.skip_drawing import Fitted, skip_drawing
from undegrade.machines.validated import recorrupt
from undegrade.networks.skip import Padding
from undegrade.priors.total_variation import TotalVariation
from undegrade.restorers.continued import solve_continued
from undegrade.restorers.initial import first_estimate
from undegrade.untrained.averaged import Averaged, AveragedState
from undegrade.untrained.deep_image_prior import DeepImagePrior
from undegrade.untrained.patience import Patience
from undegrade.untrained.update_rule import Adam, SteepestDescent, UpdateRule
from undegrade.untrained.windowed_variance import WindowedVariance, iterate_inside

Loss = Literal["likelihood", "gaussian", "laplace"]
Stopping = Literal["held-out", "variance", "recorrupted"]
Descent = Literal["adam", "diminishing"]
# Steepest descent at the default rate is the published one: 1 for a mean over the entries.
_PER_MEAN = 100.0
_DIMINISHED = 1e-3  # what is left of the rate of diminishing steps after the last iteration
# Adam does not see the scale of a loss; with a prior beside it, give the likelihood
_LOSSES: dict[Loss, Likelihood] = {"gaussian": Gaussian(1.0), "laplace": Laplace(1.0)}


@final
@dataclass(frozen=True, kw_only=True)
class UntrainedNetwork:
    """Deep image prior: an untrained network drawn onto the measurement, stopped before noise.

    min over θ of −log p(y | φ(N_θ(z))) + weight · TV(N_θ(z)), by Adam; the result is the average
    of the last pictures. It needs no training data and takes every degradation, and it is slow:
    minutes to hours. A fit without some of the entries tells from these, without knowing the truth,
    when to stop; a fit of all is then stopped there, and the result is the mean of both. Fails for
    fine texture, and for gross corruption unless the loss is laplace; `RobustUntrainedNetwork` is
    for that.

    References:
        Ulyanov, Vedaldi and Lempitsky, Deep image prior (2018). Wang, Li, Zhuang, Chen, Liang and
        Sun, Early stopping for deep image prior (2021). Ding, Jiang, Chen, Qu and Zhu, Rank
        overspecified robust matrix recovery (2021), for diminishing steps.

    Good values:
        the defaults; widths 128 128 128 128 128 and reflect as published, for a tenfold time.

    Arguments:
        loss: the likelihood of the measurement, or gaussian or laplace whatever that is.
        weight: of total variation beside the loss; 0 for the method as published.
        widths: channels of the network at each scale, from full resolution down.
        padding: how the network continues the picture beyond its border; zeros is fastest.
        iterations: most iterations of a fit.
        stopping: what decides: the error on entries that are held out of a first fit; or the
            variance of the last pictures, least where the picture is drawn and noise is not; or
            the error on a second measurement where the first has more noise added, for a
            likelihood that is right.
        window: pictures whose variance is taken.
        patience: iterations without a new least score after which it stops.
        rate: of Adam; or of diminishing steps, 0.01 being 1 for a mean over the entries.
        descent: adam, or diminishing for steepest descent whose steps fall geometrically to a
            thousandth: with the loss laplace it is slow, and does not fit gross corruption in the
            end.
        fit: the weights of the network; or its code and normalization alone, at random weights
            (deep random projector).
        decay: how much of the average of pictures survives an iteration.
        seed: of the network's weights, its code and the noise on it.
        precision: that the network computes in; "auto" is bfloat16 where the device is made for it
            (AMX, AVX512-BF16 of AMD), in a third to a half of the time.
        checkpoint: a file that the run is written to every two minutes, and that the same call
            goes on from after an interruption, or with more iterations.

    Raises:
        ValueError: `restore` where the network does not fit into memory, or the checkpoint belongs
        to another picture or other settings.
    """

    loss: Loss = "likelihood"
    weight: Annotated[float, Range(0, 1e12)] = 0.0
    widths: tuple[int, ...] = (16, 32, 64, 128, 128)
    padding: Padding = "zeros"
    iterations: Annotated[int, COUNT] = 5000
    stopping: Stopping = "held-out"
    window: Annotated[int, Range(2, 100000)] = 100
    patience: Annotated[int, COUNT] = 1000
    rate: Annotated[float, POSITIVE] = 0.01
    descent: Descent = "adam"
    fit: Fitted = "weights"
    decay: Annotated[float, Range(0, 1)] = 0.99
    seed: int = 0
    precision: Precision = "auto"
    checkpoint: Path | None = None

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def most_iterations(self) -> int:
        """Of all fits together."""
        return 2 * self.iterations if self.stopping == "held-out" else self.iterations

    def restore(
        self, measurement: Measurement, *, observe: Sequence[Observer] = ()
    ) -> Result[AveragedState]:
        # the size alone: a network is drawn from noise, whatever is fitted
        x0 = first_estimate(measurement)
        drawing = skip_drawing(
            x0, self.widths, self.padding, self.seed, self.precision, fit=self.fit
        )
        prior = DeepImagePrior(drawing=drawing, update=self._update(measurement))
        solver = Averaged(solver=prior, decay=self.decay)

        def fit(
            fitted: Measurement, rule: Stop[Any], path: Path | None, observe: Sequence[Observer]
        ) -> Result[AveragedState]:
            # not from what is held out: the first picture would then have the best score
            begin, stop = first_estimate(fitted), any_of(until(iterations=self.iterations), rule)
            problem, observe = self._problem(fitted), (watched, *observe)
            return solve_continued(solver, problem, begin, path, stop=stop, observe=observe)

        if self.stopping == "held-out":
            return fit_and_refit(
                fit, measurement, self.patience, self.seed, self.checkpoint, observe
            )
        return fit(*self._stopping(measurement), self.checkpoint, observe)

    def _update(self, measurement: Measurement) -> UpdateRule:
        if self.descent == "adam":
            return Adam(rate=self.rate)
        rate = _PER_MEAN * self.rate / measurement.y[0].numel()
        return SteepestDescent(rate=rate, decay=_DIMINISHED ** (1 / self.iterations))

    def _stopping(self, measurement: Measurement) -> tuple[Measurement, Stop[Any]]:
        """What is fitted, and the rule that ends it."""
        if self.stopping == "variance":
            return measurement, WindowedVariance(
                window=self.window, patience=self.patience, of=iterate_inside
            )
        fitted, misfit = recorrupt(measurement, seed=self.seed)
        return fitted, Patience(misfit, self.patience)

    def _problem(self, measurement: Measurement) -> Functional:
        likelihood = _LOSSES.get(self.loss, measurement.likelihood)
        fidelity = Fidelity(measurement.operator, likelihood, measurement.y)
        return Objective(fidelity, TotalVariation(smoothing=_SMOOTHING), self.weight)


_SMOOTHING = 0.004  # Huber's δ, one gray level, as in `Variational`


def watched(iteration: int, state: Any) -> Mapping[str, PerSample]:
    """Loss and variance of an `AveragedState` with an untrained network inside, for the trace."""
    del iteration
    return {"loss": state.inner.loss, "variance": state.variance}
