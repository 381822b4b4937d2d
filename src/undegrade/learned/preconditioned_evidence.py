"""Evidence in one preconditioned step: what noise alone needs."""

from typing import final

import torch
from torch import Tensor, nn

from undegrade.core.image import Image
from undegrade.core.objective import Fidelity
from undegrade.core.parametrization import Parametrization
from undegrade.learned.evidence import Seen
from undegrade.learned.quadratic_model import Known, known_about, moved, within_band


@final
class PreconditionedEvidence(nn.Module):
    """Everything that the quadratic model of the likelihood says about an estimate, in its units.

    With W = 0 for lost entries of y, 1 for others, and noise level σ, a cell sees side by side
    x, the residual g = AᵀW(Ax − y), the preconditioned step d = −AᵀW(WAAᵀW + μ)⁻¹W(Ax − y) with
    μ = σ²/τ², the coverage AᵀWA1 (which pixels took part, where the border is, what the factor
    was), the noise level σ as a map, and τ, the error that step t expects of its input.

    d is what regularized least squares would change, so that the network need not learn to invert
    kernels. Enough for noise and missing pixels; blurs gain 1 to 2 dB by `SplittingEvidence`.

    Good values:
        errors (0.05, 0.05, 0.03): τ for the start, then for each step; floor 0.003, below which
        noise-free borders ring; inner 3.

    Arguments:
        errors: τ, expected root-mean-square error, at the start and in each step; the last goes on.
        floor: smallest μ.
        inner: most conjugate gradient iterations.
        differentiable: whether training differentiates through g and d.
    """

    def __init__(
        self,
        errors: tuple[float, ...] = (0.05, 0.05, 0.03),
        floor: float = 0.003,
        inner: int = 3,
        *,
        differentiable: bool = False,
    ) -> None:
        super().__init__()
        self.errors, self.floor, self.inner = errors, floor, inner
        self.differentiable = differentiable

    def channels(self, colors: int) -> int:
        """x, g, d and the coverage per color, σ and τ once."""
        return 4 * colors + 2

    def start(self, problem: Fidelity, x0: Image) -> tuple[Image, Known]:
        """The start x0, moved to where the measurement wants it: x0 + d."""
        known = known_about(problem, x0)
        return x0 + self._step(problem, known, x0, self.errors[0])[1], known

    def look(
        self, problem: Fidelity, known: Known, latent: Tensor, link: Parametrization, iteration: int
    ) -> Seen:
        """All of it, as channels."""
        x = link.image(latent)
        error = self.errors[min(iteration + 1, len(self.errors) - 1)]
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.differentiable):
            g, d = self._step(problem, known, x, error)
        features = torch.cat((x, g, d, known.maps, torch.full_like(x[:, :1], error)), 1)
        return Seen(latent, features)

    def finish(self, problem: Fidelity, known: Known, x: Image) -> Image:
        """The last estimate, moved to where no entry of y is missed by more than 3σ."""
        return within_band(problem, known, x, self.inner)

    def _step(self, problem: Fidelity, known: Known, x: Image, error: float) -> tuple[Image, Image]:
        prediction, A = problem.operator.linearize(x)
        residual = known.weights * (problem.y - prediction)
        shift = (known.std / error).square().clamp(min=self.floor)
        return -A.adjoint(residual), moved(A, known, residual, shift, self.inner)
