"""Total variation restoration: any degradation, nothing to choose."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, TypeVar, final

import torch
from torch import Tensor

from undegrade.core.functional import Functional
from undegrade.core.image import Image, PerSample, norm, ratio
from undegrade.core.likelihood import NoiseModel
from undegrade.core.measurement import Measurement
from undegrade.core.objective import Fidelity, Objective
from undegrade.core.operator import Operator
from undegrade.core.ranges import COUNT, POSITIVE, TOLERANCE, Range, check_ranges
from undegrade.core.solver import Observer, Result, Solver, advance, solve
from undegrade.core.stopping import State, Stop, until
from undegrade.estimation.weight import UnbiasedRisk, WeightRule, path
from undegrade.linear_algebra.least_squares import LeastSquares
from undegrade.linear_algebra.probes import random_signs
from undegrade.priors.box import NONNEGATIVE, Box
from undegrade.priors.group_norm import Coupling
from undegrade.priors.total_variation import TotalVariation
from undegrade.restorers.initial import first_estimate
from undegrade.restorers.learned_prior import denoises, load_prior
from undegrade.restorers.nominal import deviation
from undegrade.solvers.dualized import dualize
from undegrade.solvers.lbfgs import LBFGS
from undegrade.solvers.levenberg_marquardt import LevenbergMarquardt
from undegrade.solvers.preconditioned_primal_dual import PreconditionedPrimalDual
from undegrade.solvers.primal_dual import DualState, PrimalDual

P = TypeVar("P", bound=Functional)

WARM_UP_ITERATIONS = 30  # per tried weight, each from where the last one ended
GAP_EVERY = 30  # iterations between two duality gaps, each as expensive as an iteration
_EVEN = 0.5  # least part of its largest eigenvalue that all of AᵀA have where it counts as even
_BENT, _MOST = 0.1, 0.5  # part of the curvature, and of the entries, for Gauss–Newton to pay
NEARBY = Box(-1.0, 2.0)  # contains every restored image, and makes duality gaps finite


class Reached(NamedTuple):
    """What the next weight begins with. Whole states would take half as much memory again."""

    x: Image
    p: Tensor | None  # the dual field, where the method has one

    @property
    def residual(self) -> PerSample:
        """Not asked for: a duality gap costs as much as an iteration."""
        return self.x.new_full((len(self.x),), torch.inf)


class Plan(NamedTuple):
    """A method, the objective as it takes it, when to stop, and what to go on from."""

    method: Solver[Any, Any]
    problem: Objective[Any, Any]
    stop: Stop[Any]
    reached: Callable[[Any], Reached]


def _with_dual(state: DualState) -> Reached:
    return Reached(state.x, state.p)


def _alone(state: State) -> Reached:
    return Reached(state.x, None)


@final
@dataclass(frozen=True, kw_only=True)
class Variational:
    """min −log p(y | φ(x)) + weight · TV(x): edges stay, noise goes, fine texture flattens.

    A learned prior (`learn-prior`) in place of total variation goes through L-BFGS, whatever the
    degradation: better pictures where noise is all (1 dB) in some five times the time. It is in
    nats at the noise level of the measurement, and so needs no weight for noise alone.

    Denoising and likelihoods with a kink (Laplace) go through the primal–dual method, Gaussian
    noise on a blur that wraps around through its preconditioned form and on any other through
    L-BFGS, everything else (photons, clipping, a non-linear φ) through Levenberg–Marquardt. Without
    a weight, the one with the least estimated prediction error is taken, after trials by L-BFGS.

    References:
        Rudin, Osher and Fatemi, Nonlinear total variation based noise removal algorithms (1992).

    Good values:
        the defaults. A larger weight smooths more; it is relative to −log p, so that 1.1/std is a
        good weight for denoising at every noise level.

    Arguments:
        weight: λ > 0; without one, it is chosen from the noise level of the measurement.
        rule: how a weight is chosen: `UnbiasedRisk()` (risk), or `Discrepancy()` (discrepancy),
            which smooths more.
        coupling: which differences form one edge: vectorial ties the colors together.
        smoothing: Huber's δ in units of the [0, 1] range: slopes below it are not called edges.
        tolerance: what may be left to gain, relative to the objective.
        iterations: most iterations.
        prior: experts or convex-experts, or a file that `learn-prior` wrote; total variation
            without one. Coupling and smoothing are those of total variation.
        nonnegative: no pixel becomes negative, as for counts and stars (by L-BFGS, or primal–dual
            steps where the likelihood has a kink).
    """

    weight: Annotated[float | None, POSITIVE] = None
    rule: WeightRule = UnbiasedRisk()
    coupling: Coupling = "vectorial"
    smoothing: Annotated[float, Range(0, 1e6)] = 0.004
    tolerance: Annotated[float, TOLERANCE] = 1e-4
    iterations: Annotated[int, COUNT] = 500
    prior: str | None = None
    nonnegative: bool = False

    def __post_init__(self) -> None:
        check_ranges(self)

    def restore(self, measurement: Measurement, *, observe: Sequence[Observer] = ()) -> Result[Any]:
        x0 = first_estimate(measurement)
        x0 = NONNEGATIVE.prox(x0, 1.0) if self.nonnegative else x0
        weight = self.choose_weight(measurement, x0)
        plan = self._last_plan(measurement, weight, x0)
        result = solve(plan.method, plan.problem, x0, stop=plan.stop, observe=observe)
        return dataclasses.replace(result, chosen={"weight": weight})

    def choose_weight(self, measurement: Measurement, x0: Image) -> PerSample:
        """The weight of every sample, given or chosen."""
        y, operator = measurement.y, measurement.operator
        if self.weight is not None:
            return y.new_full((len(y),), self.weight)
        learned = None if self.prior is None else load_prior(self.prior)
        if learned is not None and denoises(operator, x0):
            return y.new_full((len(y),), learned.weight)

        def tried(data: Tensor, weight: PerSample, last: Reached | None) -> Reached:
            moved = dataclasses.replace(measurement, y=data)
            begin = x0 if last is None else last.x
            plan = self._plan(moved, weight, begin)
            ended = advance(plan.method, plan.problem, begin, WARM_UP_ITERATIONS, near=last)
            return plan.reached(ended)

        trials = path(tried, lambda at: operator(at.x))
        precision = measurement.precision
        usual = _usual_weight(precision) if learned is None else learned.weight
        start = usual * _gain(operator, x0)
        return self.rule.choose(trials, y, precision, start)

    def objective(
        self, measurement: Measurement, weight: PerSample
    ) -> Objective[Fidelity, Functional]:
        """What is minimized."""
        return self._with(self._prior(measurement), measurement, weight)

    def _with(
        self, prior: P, measurement: Measurement, weight: PerSample
    ) -> Objective[Fidelity, P]:
        fidelity = Fidelity(measurement.operator, measurement.likelihood, measurement.y)
        return Objective(fidelity, prior, weight, NONNEGATIVE if self.nonnegative else None)

    def _last_plan(self, measurement: Measurement, weight: PerSample, x0: Image) -> Plan:
        """That of the trials, or Levenberg–Marquardt where that was measured to be quicker."""
        noise, operator = measurement.likelihood.noise, measurement.operator
        free = not self.nonnegative and self.prior is None
        bent = not operator.linear or not noise.quadratic
        direct = noise.closed_form and _well_posed(operator, x0)
        if not (free and bent and noise.smooth) or direct or _flat(measurement, x0):
            return self._plan(measurement, weight, x0)
        # its residual is what the last step was to gain; the next one gains some tenths of that
        enough = until(iterations=self.iterations, residual=self.tolerance)
        objective = self.objective(measurement, weight)
        return Plan(LevenbergMarquardt(), objective, enough, _alone)

    def _plan(self, measurement: Measurement, weight: PerSample, x0: Image) -> Plan:
        """The best method for this measurement."""
        y, noise, operator = measurement.y, measurement.likelihood.noise, measurement.operator
        stop = functools.partial(until, iterations=self.iterations)
        certain = stop(residual=self.tolerance, every=GAP_EVERY)
        # one remembered step is faster on photographs than more; the gain that the quadratic model
        # expects is a small part of what is still to come
        enough = stop(residual=self.tolerance / 30, every=5)
        if self.prior is not None:
            _require_smooth(noise)
            return Plan(LBFGS(memory=3), self.objective(measurement, weight), enough, _alone)
        prior = self._total_variation()
        objective = self._with(prior, measurement, weight)
        if self.nonnegative:
            return self._nonnegative(objective, x0, noise.smooth)
        well_posed = _well_posed(operator, x0)
        squares = _squares(operator, noise, y)
        if squares is not None and well_posed:
            return Plan(PrimalDual(), Objective(squares, prior, weight), certain, _with_dual)
        if squares is not None and _periodic(operator, x0):
            # the residual is about what is left to gain
            about = stop(residual=self.tolerance / 2, every=5)
            preconditioned = Objective(squares, prior, weight)
            return Plan(PreconditionedPrimalDual(), preconditioned, about, _with_dual)
        if (well_posed and noise.closed_form) or not noise.smooth:
            return Plan(PrimalDual(), dualize(objective, x0, NEARBY), certain, _with_dual)
        return Plan(LBFGS(memory=1), objective, enough, _alone)

    def _nonnegative(
        self, objective: Objective[Fidelity, TotalVariation], x0: Image, smooth: bool
    ) -> Plan:
        """The methods that keep a constraint."""
        stop = functools.partial(until, iterations=self.iterations)
        if smooth:
            enough = stop(residual=self.tolerance / 30, every=5)
            return Plan(LBFGS(memory=1), objective, enough, _alone)
        certain = stop(residual=self.tolerance, every=GAP_EVERY)
        free = Objective(objective.fidelity, objective.prior, objective.weight)
        dual = dualize(free, x0, Box(0.0, NEARBY.high))
        return Plan(PrimalDual(), dual, certain, _with_dual)

    def _prior(self, measurement: Measurement) -> Functional:
        if self.prior is None:
            return self._total_variation()
        return load_prior(self.prior).prior(deviation(measurement.precision))

    def _total_variation(self) -> TotalVariation:
        return TotalVariation(self.coupling, self.smoothing)


def _well_posed(operator: Operator, x: Image) -> bool:
    """Whether AᵀA is known to be about a multiple of the identity, as for denoising."""
    gram = operator.gram
    return gram is not None and bool((gram.least(x) >= _EVEN * gram.largest(x)).all())


def _periodic(operator: Operator, x: Image) -> bool:
    """Whether AᵀA is known to be a periodic convolution."""
    gram = operator.gram
    return gram is not None and gram.spectrum(x) is not None


def _squares(operator: Operator, noise: NoiseModel, y: Tensor) -> LeastSquares | None:
    """The fidelity in closed form: quadratic, every entry trusted alike, AᵀA known."""
    if not noise.quadratic or operator.gram is None:
        return None
    squares = LeastSquares(operator.as_linear(""), y, noise.precision(y).rsqrt())
    return squares if squares.uniform else None


def _flat(measurement: Measurement, x: Image) -> bool:
    """Whether −log p bends nowhere near as its quadratic model says, for most entries of a sample.

    As of an interval, inside of which Gauss–Newton's model sees nothing of its ends.
    """
    noise, y = measurement.likelihood.noise, measurement.y
    bends = noise.curvature(measurement.operator(x), y) >= _BENT * noise.precision(y)
    return bool((bends.flatten(1).float().mean(1) < _MOST).any())


def _require_smooth(noise: NoiseModel) -> None:
    if not noise.smooth:
        raise ValueError(
            "a learned prior goes with noise whose likelihood has no kink, got "
            f"{type(noise).__name__}; leave the prior out for total variation"
        )


def _usual_weight(precision: Tensor) -> PerSample:
    """1.1/std, for the mean precision of the trusted entries: where the search begins."""
    total, trusted = precision.flatten(1).sum(1), (precision > 0).flatten(1).sum(1)
    return 1.1 * ratio(total, trusted).clamp(min=torch.finfo(precision.dtype).tiny).sqrt()


def _gain(operator: Operator, x: Image) -> PerSample:
    """√(‖Jδ‖²/‖δ‖²) for random signs δ: how much of white noise φ lets through."""
    signs = random_signs(x, 1)
    # an operator that lets nothing through must not make the search begin at 0
    return (norm(operator.linearize(x)[1](signs)) / norm(signs)).clamp(min=1e-3)
