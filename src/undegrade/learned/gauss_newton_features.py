"""A damped Gauss–Newton move whose damping is learned, as features."""

from dataclasses import dataclass, field
from typing import Annotated, final

from torch import Tensor, nn

from undegrade.core.image import Image, PerSample
from undegrade.core.objective import Fidelity
from undegrade.core.parametrization import Parametrization
from undegrade.core.ranges import Range, check_ranges
from undegrade.learned.features import Estimate, Shown
from undegrade.learned.least_squares_features import LeastSquaresFeatures, Prepared
from undegrade.learned.predicted_damping import PredictedDamping


@final
class GaussNewtonFeatures(nn.Module):
    """`LeastSquaresFeatures` with base z, whose expected errors are corrected by a small network.

    Step k moves by d = AᵀW(WAAᵀW + μ)⁻¹W(y − φ(x)), A = φ′(x): the Gauss–Newton step for
    ‖W(y − φ(x))‖² damped by μ = λσ²/τ². τ is what the schedule expects, times a factor that
    `PredictedDamping` reads off the noise level and the residual of every sample. Its weights are
    trained with the cell's: −⟨(WAAᵀW + μ)⁻¹WAv, (WAAᵀW + μ)⁻¹W(y − φ(x))⟩ is the derivative of
    ⟨v, d⟩ in μ, and both solves are there already.

    References:
        Levenberg, A method for the solution of certain non-linear problems in least squares (1944);
        Tang and Tan, BA-Net: dense bundle adjustment networks (2019), whose damping is read off the
        residual too.

    Arguments:
        start: the features with fixed damping, where training begins.
        width: of the network.
    """

    def __init__(self, start: LeastSquaresFeatures, width: int) -> None:
        super().__init__()
        self.start, self.damping = start, PredictedDamping(width)

    @property
    def local(self) -> bool:
        """No: the damping depends on the whole residual."""
        return False

    def channels(self, colors: int) -> int:
        """As with fixed damping."""
        return self.start.channels(colors)

    def prepare(self, problem: Fidelity, x0: Image, steps: int) -> tuple[Image, Prepared]:
        """What no step changes; the start stays."""
        return self.start.prepare(problem, x0, steps)

    def compute(
        self,
        problem: Fidelity,
        prepared: Prepared,
        latent: Tensor,
        parametrization: Parametrization,
        iteration: int,
    ) -> Shown:
        """All parts of `LeastSquaresFeatures`, the expected error corrected."""
        model, errors = prepared
        last = len(errors) - 1
        move = min(iteration, last)

        def corrected(residual: Tensor, back: Image) -> PerSample:
            return errors[move] * self.damping(model.std, residual, back, move / max(1, last))

        return self.start.shown(problem, prepared, latent, parametrization, corrected)

    def finish(
        self, problem: Fidelity, prepared: Prepared, x: Image, estimate: Estimate | None = None
    ) -> Image:
        """The last estimate, moved to where noise explains by how much y is missed."""
        return self.start.finish(problem, prepared, x, estimate)


@final
@dataclass(frozen=True, kw_only=True)
class GaussNewtonSettings:
    """Settings of `GaussNewtonFeatures`, whose damping is learned and so not among them.

    Arguments:
        start: the fixed damping that training begins with, base z.
        width: of the network that predicts the damping.

    Raises:
        ValueError: base x, where no move is a part of the estimate and damping has no derivative.
    """

    start: LeastSquaresFeatures = field(default_factory=LeastSquaresFeatures)
    width: Annotated[int, Range(1, 1000)] = 8

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.start.base != "z":
            raise ValueError("damping is learned where every step begins with a move, base z")

    def build(self) -> GaussNewtonFeatures:
        """The features, untrained: a factor of 1."""
        return GaussNewtonFeatures(self.start, self.width)
