"""Total variation: images of few and short edges."""

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from undegrade.core.functional import Composite, Functional, Linear
from undegrade.core.image import Image, PerSample, per_sample
from undegrade.linear_algebra.multigrid import shifted_laplacian
from undegrade.priors import total_variation_compiled as compiled
from undegrade.priors.finite_difference import FiniteDifference
from undegrade.priors.group_norm import Coupling, GroupNorm, magnitude


@final
class TotalVariation(Composite):
    """TV(x) = Σ |(∇x)ᵢ| over pixels: removes noise and keeps edges, flattens fine texture.

    On a CPU, images of at least 2¹⁷ values take gradients and the half-steps of primal–dual
    methods through compiled loops (`priors.compiled`); results agree with the plain ones to
    rounding.

    References:
        Rudin, Osher and Fatemi, Nonlinear total variation based noise removal algorithms (1992).

    Good values:
        vectorial for color photographs; with ½‖x − y‖²/std² as the fidelity a weight of about
        1.1/std. smoothing 0 for the exact model, 1e-3 … 1e-2 for methods that need a gradient.

    Arguments:
        coupling: anisotropic, isotropic, or vectorial over color.
        smoothing: Huber's δ, in units of the [0, 1] range per pixel.
    """

    def __init__(self, coupling: Coupling = "vectorial", smoothing: float = 0.0) -> None:
        super().__init__()
        self.size = GroupNorm(coupling, smoothing)
        self.gradient = FiniteDifference()

    @property
    def outer(self) -> GroupNorm:
        return self.size

    @property
    def inner(self) -> FiniteDifference:
        return self.gradient

    def squared_norm(self, x: Image) -> PerSample:
        """‖∇‖² ≤ 8, and ≤ 4 along a line of pixels."""
        # ‖∇‖² ≤ 4 along each axis that has differences
        return x.new_full((len(x),), 8.0 if min(x.shape[-2:]) > 1 else 4.0)

    def value_and_grad(self, x: Image) -> tuple[PerSample, Image]:
        coupling = self.size.coupling
        if coupling == "anisotropic" or not compiled.pays(x):
            return super().value_and_grad(x)
        size = compiled.slopes(x, coupling)
        return self.size.total(size), compiled.diffuse(x, self.size.pull(size))

    def preconditioner(self, x: Image, weight: PerSample) -> Callable[[Tensor], Linear] | None:
        """The lagged parabola is a weighted Laplacian; without smoothing it has no bound."""
        if not self.size.smoothing:
            return None
        pull = self.size.pull(magnitude(self.gradient(x), self.size.coupling))
        pull = pull.mul_(per_sample(weight, pull))
        return lambda shift: shifted_laplacian(shift, pull)

    def ascend(self, p: Tensor, x: Image, step: PerSample, weight: PerSample) -> Tensor:
        if not compiled.pays(x, p):
            return super().ascend(p, x, step, weight)
        return compiled.ascend(p, x, step, weight, self.size.coupling, self.size.smoothing)

    def descend(self, x: Image, p: Tensor, step: PerSample) -> Image:
        if not compiled.pays(x, p):
            return super().descend(x, p, step)
        return compiled.descend(x, p, step)


@final
class SmoothedTotalVariation(Functional):
    """Σ √(|(∇x)ᵢ|² + ε): total variation with a round bottom, smooth to every order.

    Arguments:
        coupling: as in `TotalVariation`.
        epsilon: ε > 0, in squared units of the [0, 1] range. Good values: 1e-6 … 1e-4.

    Raises:
        ValueError: ε is not positive.
    """

    def __init__(self, coupling: Coupling = "vectorial", epsilon: float = 1e-4) -> None:
        super().__init__()
        if epsilon <= 0:
            raise ValueError(f"epsilon must be positive, got {epsilon}")
        self.coupling: Coupling = coupling
        self.epsilon = epsilon
        self.gradient = FiniteDifference()

    def extra_repr(self) -> str:
        return f"coupling={self.coupling!r}, epsilon={self.epsilon}"

    def modulus(self, x: Tensor) -> PerSample:
        return x.new_zeros(len(x))

    def forward(self, x: Image) -> PerSample:
        return self._roots(magnitude(self.gradient(x), self.coupling)).flatten(1).sum(1)

    def value_and_grad(self, x: Image) -> tuple[PerSample, Image]:
        if self.coupling != "anisotropic" and compiled.pays(x):
            roots = self._roots(compiled.slopes(x, self.coupling))
            return roots.flatten(1).sum(1), compiled.diffuse(x, 1 / roots)
        field = self.gradient(x)
        roots = self._roots(magnitude(field, self.coupling))
        return roots.flatten(1).sum(1), self.gradient.adjoint(field / roots)

    def _roots(self, size: Tensor) -> Tensor:
        return torch.sqrt(size.square() + self.epsilon)
