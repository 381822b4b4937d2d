"""Evidence by half-quadratic splitting: what blur and low resolution need."""

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn

from undegrade.core.image import Image, PerSample, per_sample
from undegrade.core.objective import Fidelity
from undegrade.core.parametrization import Parametrization
from undegrade.learned.evidence import Seen
from undegrade.learned.quadratic_model import Known, known_about, moved, within_band


@final
class SplittingEvidence(nn.Module):
    """Half-quadratic splitting: each step denoises what the measurement made of the last estimate.

    With W = 0 for lost entries of y, 1 for others, noise level σ and τₖ, the error expected of the
    estimate x, step k stands at z = x + d, where d = AᵀW(WAAᵀW + μ)⁻¹W(y − Ax) with μ = λσ²/τₖ²:
    regularized least squares around x. A cell sees side by side z, the residual AᵀW(Ax − y), d,
    the coverage AᵀWA1 (which pixels took part, where the border is, what the factor was), τₖ and
    the noise level σ as maps. τₖ falls geometrically from `first` to σ, so that the cell begins
    with what strong smoothing can tell and ends with details.

    Ill-conditioned blurs want the steps; for noise alone, where z is y, `PreconditionedEvidence`
    does with two. Training differentiates through z, whose Jacobian I − AᵀW(WAAᵀW + μ)⁻¹WA is
    symmetric: a backward pass is one more move.

    References:
        Geman and Yang, Nonlinear image recovery with half-quadratic regularization (1995); Zhang,
        Van Gool and Timofte, Deep unfolding network for image super-resolution (2020), whose λ it
        is; Zhang et al., Plug-and-play image restoration with deep denoiser prior (2021).

    Good values:
        steps 4, first 0.15, last 0.01 (the noise of 8-bit files that look clean), strength 0.23,
        inner 6: with 3, as in the training of the shipped weights, exact blurs lose 1 to 2 dB.

    Arguments:
        steps: in which τ falls; later ones stay at its end.
        first: τ of the first step, or σ if that is larger.
        last: smallest τ.
        strength: λ.
        floor: smallest μ, below which noise-free borders ring.
        inner: most conjugate gradient iterations.
    """

    def __init__(
        self,
        steps: int = 4,
        first: float = 0.15,
        last: float = 0.01,
        strength: float = 0.23,
        floor: float = 0.001,
        inner: int = 6,
    ) -> None:
        super().__init__()
        self.steps, self.first, self.last, self.strength = steps, first, last, strength
        self.floor, self.inner = floor, inner

    def channels(self, colors: int) -> int:
        """z, residual, d and the coverage per color, τ and σ once."""
        return 4 * colors + 2

    def start(self, problem: Fidelity, x0: Image) -> tuple[Image, Known]:
        """Starts where it is told to; every step moves before it looks."""
        return x0, known_about(problem, x0)

    def look(
        self, problem: Fidelity, known: Known, latent: Tensor, link: Parametrization, iteration: int
    ) -> Seen:
        """z, and all of it as channels."""
        x = link.image(latent)
        tau = self._expected_error(known, iteration)
        shift = (self.strength * (known.std / tau).square()).clamp(min=self.floor)

        def pulled(v: Image) -> Image:
            return v - moved(A, known, known.weights * A(v), shift, self.inner)

        with torch.no_grad():
            prediction, A = problem.operator.linearize(x)
            residual = known.weights * (problem.y - prediction)
            d, g = moved(A, known, residual, shift, self.inner), -A.adjoint(residual)
        z: Image = _Moved.apply(x, d, pulled)
        coverage, level = known.maps[:, :-1], known.maps[:, -1:]
        features = torch.cat((z, g, d, coverage, per_sample(tau, x).expand_as(level), level), 1)
        return Seen(link.latent(z), features)

    def finish(self, problem: Fidelity, known: Known, x: Image) -> Image:
        """The last estimate, moved to where no entry of y is missed by more than 3σ."""
        return within_band(problem, known, x, self.inner)

    def _expected_error(self, known: Known, iteration: int) -> PerSample:
        end = known.std.clamp(min=self.last)
        done = min(1.0, iteration / max(1, self.steps - 1))
        return end.clamp(min=self.first) ** (1 - done) * end**done


class _Moved(torch.autograd.Function):
    """x + d(x), differentiated by the function `pulled` that its symmetric Jacobian is."""

    @staticmethod
    def forward(ctx: Any, x: Image, d: Image, pulled: Callable[[Image], Image]) -> Image:
        ctx.pulled = pulled
        return x + d

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Image) -> tuple[Image, None, None]:
        (gradient,) = grad_outputs
        return ctx.pulled(gradient), None, None
