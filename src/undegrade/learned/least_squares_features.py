"""What regularized least squares makes of an estimate, as features."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from undegrade.core.image import Image, PerSample, dot, per_sample
from undegrade.core.objective import Fidelity
from undegrade.core.operator import LinearOperator
from undegrade.core.parametrization import Parametrization
from undegrade.learned.features import Estimate, Shown
from undegrade.learned.quadratic_model import QuadraticModel
from undegrade.learned.schedule import GeometricErrors, ListedErrors

Part = Literal["estimate", "residual", "move", "coverage", "expected error", "noise level"]
_PER_COLOR: tuple[Part, ...] = ("estimate", "residual", "move", "coverage")
_SINGLE: tuple[Part, ...] = ("expected error", "noise level")


class Prepared(NamedTuple):
    """The quadratic model of a measurement, and the error to expect before each move, (n b)."""

    model: QuadraticModel
    errors: Float[Tensor, "n b"]


@final
@dataclass(frozen=True, kw_only=True)
class LeastSquaresFeatures:
    """Everything that the likelihood's quadratic model says about an estimate, in image units.

    With W = 0 for lost entries of y and 1 for others, noise level σ and expected error τ, move k is
    d = AᵀW(WAAᵀW + μ)⁻¹W(y − Ax) with μ = max(floor, λσ²/τₖ²): regularized least squares around
    the estimate x. A cell sees side by side the estimate, the residual AᵀW(Ax − y), d, the
    coverage AᵀWA1 (which pixels took part, where the border is, what the factor was), and as maps
    τ and σ. So it need not learn to invert kernels. Its update is added to a base:

    * `x`: the estimate itself, which d is only shown with. The start is moved once. Enough for
      noise and missing pixels.
    * `z`: half-quadratic splitting. Each step moves first, to z = x + d, and the cell denoises
      that. Ill-conditioned blurs want it. Training differentiates through z, whose Jacobian
      I − AᵀW(WAAᵀW + μ)⁻¹WA is symmetric: a backward pass is one more move.

    The last estimate is moved to where noise explains by how much y is missed
    (`QuadraticModel.within_noise`).

    References:
        Geman and Yang, Nonlinear image recovery with half-quadratic regularization (1995); Zhang,
        Van Gool and Timofte, Deep unfolding network for image super-resolution (2020), whose λ it
        is.

    Good values:
        base z: strength 0.23, floor 0.001, cg_iterations 6 (3 lose 1 to 2 dB on exact blurs).
        base x: `ListedErrors()`, strength 1, floor 0.003, cg_iterations 3.

    Arguments:
        schedule: τ, move by move.
        strength: λ.
        floor: smallest μ, below which noise-free borders ring.
        cg_iterations: most conjugate gradient iterations of a move.
        base: what the update is added to.

    Raises:
        ValueError: settings out of range.
    """

    schedule: GeometricErrors | ListedErrors = field(default_factory=GeometricErrors)
    strength: float = 0.23
    floor: float = 0.001
    cg_iterations: int = 6
    base: Literal["x", "z"] = "z"

    def __post_init__(self) -> None:
        if not (self.strength > 0 and self.floor > 0 and self.cg_iterations > 0):
            raise ValueError(
                f"expected strength, floor and cg_iterations above 0, got {self.strength}, "
                f"{self.floor} and {self.cg_iterations}"
            )

    def build(self) -> "LeastSquaresFeatures":
        """Itself: nothing here is learned."""
        return self

    def channels(self, colors: int) -> int:
        """Four images and two maps."""
        return len(_PER_COLOR) * colors + len(_SINGLE)

    def part(self, name: Part, colors: int) -> slice:
        """Where a part stands among the channels."""
        if name in _PER_COLOR:
            first = _PER_COLOR.index(name) * colors
            return slice(first, first + colors)
        first = len(_PER_COLOR) * colors + _SINGLE.index(name)
        return slice(first, first + 1)

    def prepare(self, problem: Fidelity, x0: Image, steps: int) -> tuple[Image, Prepared]:
        """What no step changes, and the start: x0, moved once where the base is x."""
        model = QuadraticModel.of(problem, x0)
        prepared = Prepared(model, self.schedule.errors(model.std, steps))
        if self.base == "z":
            return x0, prepared
        shift = self._shift(model, prepared.errors[0])
        residual, A = model.residual(problem, x0)
        return x0 + model.step(A, residual, shift, self.cg_iterations), prepared

    def compute(
        self,
        problem: Fidelity,
        prepared: Prepared,
        latent: Tensor,
        parametrization: Parametrization,
        iteration: int,
    ) -> Shown:
        """All parts; `base` decides where they stand."""
        move = iteration + (self.base == "x")  # there the start took the first one
        error = prepared.errors[min(move, len(prepared.errors) - 1)]

        def scheduled(residual: Tensor, back: Image) -> PerSample:
            del residual, back
            return error

        return self.shown(problem, prepared, latent, parametrization, scheduled)

    def shown(
        self,
        problem: Fidelity,
        prepared: Prepared,
        latent: Tensor,
        parametrization: Parametrization,
        expected: Callable[[Tensor, Image], PerSample],
    ) -> Shown:
        """All parts, for the error τ that is expected after a look at the residual and AᵀW of it.

        Differentiable in the estimate, and in τ by way of the move.
        """
        model, x = prepared.model, parametrization.image(latent)
        with torch.no_grad():
            residual, A = model.residual(problem, x)
            back = A.adjoint(residual)
        error = expected(residual, back)
        shift = self._shift(model, error)
        at = Damped(model, A, self.cg_iterations)
        with torch.no_grad():
            solved = at.solve(residual, shift)
            d = at.back(solved)
        if self.base == "z":
            x = _Step.apply(x, shift, d, solved, at)
            latent = parametrization.latent(x)
        level = model.noise_level
        single = torch.cat((per_sample(error, level).expand_as(level), level), 1)
        return Shown(latent, torch.cat((x, -back, d, model.coverage), 1), single)

    @property
    def local(self) -> bool:
        return True

    def finish(
        self, problem: Fidelity, prepared: Prepared, x: Image, estimate: Estimate | None = None
    ) -> Image:
        """The last estimate, moved to where noise explains by how much y is missed."""
        return prepared.model.within_noise(problem, x, self.cg_iterations, estimate)

    def _shift(self, model: QuadraticModel, error: Tensor) -> Tensor:
        return (self.strength * (model.std / error).square()).clamp(min=self.floor)


class Damped(NamedTuple):
    """The systems that the moves from one estimate solve: a model, the Jacobian A there, a limit.

    Arguments:
        model: of the measurement.
        A: φ′(x).
        cg_iterations: most conjugate gradient iterations.
    """

    model: QuadraticModel
    A: LinearOperator
    cg_iterations: int

    def solve(self, residual: Tensor, shift: PerSample) -> Tensor:
        """(WAAᵀW + shift)⁻¹ residual."""
        return self.model.solve(self.A, residual, shift, self.cg_iterations)

    def back(self, v: Tensor) -> Image:
        """AᵀWv."""
        return self.A.adjoint(self.model.trusted * v)


class _Step(torch.autograd.Function):
    """x + d(x, μ), d = AᵀWs with s = (WAAᵀW + μ)⁻¹W(y − φ(x)), A as it is at x.

    With u = (WAAᵀW + μ)⁻¹WAv the pulled-back v is v − AᵀWu in x, as the Jacobian is symmetric, and
    −⟨u, s⟩ in μ: one solve gives both.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Image, shift: PerSample, d: Image, solved: Tensor, at: Damped
    ) -> Image:
        ctx.at = at
        ctx.save_for_backward(shift, solved)
        return x + d

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Image) -> tuple[Image, PerSample, None, None, None]:
        (v,), at = grad_outputs, ctx.at
        shift, solved = ctx.saved_tensors
        u = at.solve(at.model.trusted * at.A(v), shift)
        return v - at.back(u), -dot(u, solved), None, None, None
