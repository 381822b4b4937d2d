"""Total variation restoration: any degradation, nothing to choose."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import torch
from torch import Tensor

from undegrade.core.functional import Fidelity, Objective
from undegrade.core.image import Image, PerSample
from undegrade.core.least_squares import LeastSquares
from undegrade.core.operator import LinearOperator
from undegrade.core.restorer import Measurement
from undegrade.core.solver import Observer, Result, solve, until
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.priors.group_norm import Coupling
from undegrade.priors.total_variation import TotalVariation
from undegrade.restorers.weight import Discrepancy, UnbiasedRisk, WeightRule
from undegrade.solvers.lbfgs import LBFGS
from undegrade.solvers.primal_dual import PrimalDual

TRIAL = 40  # iterations per tried weight
Rule = Literal["risk", "discrepancy"]
RULES: dict[Rule, WeightRule] = {"risk": UnbiasedRisk(), "discrepancy": Discrepancy()}


@final
@dataclass(frozen=True, kw_only=True)
class Variational:
    """min −log p(y | φ(x)) + weight · TV(x): edges stay, noise goes, fine texture flattens.

    Gaussian noise behind an operator with a closed form (denoising, periodic blur) goes through
    the primal–dual method, everything else (any boundary, likelihood or non-linear φ) through
    L-BFGS. Without a weight, the one with the least estimated prediction error is taken.

    References:
        Rudin, Osher and Fatemi, Nonlinear total variation based noise removal algorithms (1992).

    Good values:
        the defaults. A larger weight smooths more; it is relative to −log p, so that 1.1/std is a
        good weight for denoising at every noise level.

    Arguments:
        weight: λ > 0; None chooses it from the noise level of the measurement.
        rule: how a weight is chosen: least estimated risk, or the discrepancy principle.
        coupling: which differences form one edge: vectorial ties the colors together.
        smoothing: Huber's δ in units of the [0, 1] range: slopes below it are not called edges.
        tolerance: relative to the objective: duality gap, or gain that L-BFGS still expects.
        iterations: most iterations.
    """

    weight: float | None = None
    rule: Rule = "risk"
    coupling: Coupling = "vectorial"
    smoothing: float = 0.004
    tolerance: float = 1e-4
    iterations: int = 500

    def restore(self, measurement: Measurement, *, observe: Sequence[Observer] = ()) -> Result[Any]:
        y = measurement.y
        x0 = measurement.operator.initial(y)
        weight = self.choose_weight(measurement, x0)
        return self._solve(measurement, x0, weight, self.tolerance, self.iterations, observe)

    def choose_weight(self, measurement: Measurement, x0: Image) -> PerSample:
        """The weight of every sample, given or chosen."""
        y, operator = measurement.y, measurement.operator
        if self.weight is not None:
            return y.new_full((len(y),), self.weight)
        precision = measurement.likelihood.precision(y)

        def predict(data: Tensor, weight: PerSample) -> Tensor:
            # the same start and number of iterations for every data, so that differences of two
            # predictions are derivatives of one map, converged or not
            moved = Measurement(data, operator, measurement.likelihood)
            return operator(self._solve(moved, x0, weight, 0.0, TRIAL, ()).x)

        return RULES[self.rule].choose(predict, y, precision, _usual_weight(precision))

    def objective(
        self, measurement: Measurement, weight: PerSample
    ) -> Objective[Fidelity, TotalVariation]:
        """What is minimized."""
        fidelity = Fidelity(measurement.operator, measurement.likelihood, measurement.y)
        return Objective(fidelity, TotalVariation(self.coupling, self.smoothing), weight)

    def _solve(
        self,
        measurement: Measurement,
        x0: Image,
        weight: PerSample,
        tolerance: float,
        iterations: int,
        observe: Sequence[Observer],
    ) -> Result[Any]:
        squares = _closed_form(measurement)
        if squares is None:
            stop = until(iterations=iterations, residual=tolerance)
            return solve(
                LBFGS(), self.objective(measurement, weight), x0, stop=stop, observe=observe
            )
        prior = TotalVariation(self.coupling, self.smoothing)
        stop = until(iterations=iterations, residual=tolerance, every=10)
        objective = Objective(squares, prior, weight)
        return solve(PrimalDual(), objective, x0, stop=stop, observe=observe)


def _closed_form(measurement: Measurement) -> LeastSquares | None:
    """The fidelity with a proximal map, where there is one."""
    operator, likelihood = measurement.operator, measurement.likelihood
    if isinstance(likelihood, Gaussian) and isinstance(operator, LinearOperator):
        return (
            LeastSquares(operator, measurement.y, likelihood.std) if operator.closed_form else None
        )
    return None


def _usual_weight(precision: Tensor) -> PerSample:
    """1.1/std, for the mean precision of the trusted entries: where the search begins."""
    total, trusted = precision.flatten(1).sum(1), (precision > 0).flatten(1).sum(1)
    return 1.1 * (total / trusted.clamp(min=1)).clamp(min=torch.finfo(precision.dtype).tiny).sqrt()
