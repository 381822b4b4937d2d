"""Two older ways to correct a kernel, short: joint minimization, and blind Richardson–Lucy.

Used by `benchmarks.semi_blind`. Both begin at the kernel that is given and keep its size.
"""

import torch
from torch import Tensor

import undegrade as ud
from undegrade.core.reparametrized import Reparametrized
from undegrade.parametrizations.simplex import Simplex
from undegrade.priors.tikhonov import Tikhonov

ROUNDS = 8


class OfKernel(ud.Functional):
    """k ↦ ½‖k ∗ x − y‖²/std², x fixed."""

    def __init__(self, x: Tensor, y: Tensor, std: float) -> None:
        super().__init__()
        self.blurred, self.y, self.std = x, y, std

    def forward(self, x: Tensor) -> Tensor:
        residual = ud.Blur(x)(self.blurred) - self.y
        return 0.5 * residual.square().sum((1, 2, 3)) / self.std**2


def joint(y: Tensor, kernel: Tensor, std: float, weight: float) -> tuple[Tensor, Tensor]:
    """min over x and k of ½‖k ∗ x − y‖²/std² + weight · TV(x), k ≥ 0 of sum 1, by turns."""
    k, x = kernel[None, None], y
    for _ in range(ROUNDS):
        m = ud.Measurement(y, ud.Blur(k), ud.Gaussian(std))
        objective = ud.Variational().objective(m, torch.tensor([weight]))
        x = ud.solve(ud.LBFGS(memory=3), objective, x, stop=ud.until(iterations=60)).x
        loss = Reparametrized(OfKernel(x, y, std), Simplex())
        of_kernel = ud.Objective(loss, Tikhonov(), 0.0)
        start = Simplex().latent(k)
        stop = ud.until(iterations=15)
        k = Simplex().image(ud.solve(ud.LBFGS(memory=10), of_kernel, start, stop=stop).x)
    return x, k


def richardson_lucy(y: Tensor, kernel: Tensor) -> tuple[Tensor, Tensor]:
    """Multiplicative updates of x and of k by turns.

    References:
        Fish, Brinicombe, Pike and Walker, Blind deconvolution by means of the Richardson–Lucy
        algorithm (1995).
    """
    y = y.clamp(min=1e-3)
    k, x, ones = kernel[None, None].clamp(min=1e-6), y, torch.ones_like(y)
    for _ in range(ROUNDS):
        for _ in range(3):
            blur = ud.Blur(k)
            x = x * blur.adjoint(y / blur(x).clamp(min=1e-3)) / blur.adjoint(ones).clamp(min=1e-3)
        for _ in range(3):
            predicted, pull = torch.func.vjp(lambda at, x=x: ud.Blur(at)(x), k)
            (up,), (total,) = pull(y / predicted.clamp(min=1e-3)), pull(ones)
            k = k * up / total
            k = k / k.sum()
    return x, k
