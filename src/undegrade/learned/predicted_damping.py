"""How strongly to damp a step, told by the noise level and by what the step begins with."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from undegrade.core.image import Image, PerSample, norm

_SIGNS = 4  # of a step: noise level, residual, gradient, how far the schedule has come
_LEAST = 1e-3  # of the noise level: a smaller residual is rounding
_GAIN = 10.0  # lets AdamW, whose steps are 5e-4, move the expected error by half a per cent
_FURTHEST = 3.0  # most that a logarithm moves: 400 times the damping, or a 400th of it


@final
class PredictedDamping(nn.Module):
    """Factor of the error τ that a schedule expects, so that μ = λσ²/τ² suits the sample.

    With ρ, γ the root-mean-squares of the residual W(y − φ(x)) and of AᵀW of it, and t in [0, 1]
    for how far the schedule has come, the factor is exp(3 tanh(f/3)), f = 10 (w·tanh(Vs + c) + b),
    s = (log σ, log ρ/σ, log γ/σ, t). Untrained it is 1. It is one number per sample, which a large
    picture whose parts differ may want several of.

    Good values:
        width 8.

    Arguments:
        width: of its only layer.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(_SIGNS, width), nn.Linear(width, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, std: PerSample, residual: Tensor, back: Image, done: float) -> PerSample:
        """The factor, differentiable in the weights only.

        Arguments:
            std: σ.
            residual: W(y − φ(x)).
            back: AᵀW of it.
            done: t.
        """
        inner = torch.tanh(self.enter(_signs(std, residual, back, done)))
        wanted = _GAIN * self.leave(inner)[:, 0]
        return (_FURTHEST * torch.tanh(wanted / _FURTHEST)).exp()


@torch.no_grad()
def _signs(std: PerSample, residual: Tensor, back: Image, done: float) -> Float[Tensor, "b 4"]:
    sizes = [norm(v) / v[0].numel() ** 0.5 for v in (residual, back)]
    logs = [(size / std).clamp(min=_LEAST).log() for size in sizes]
    return torch.stack((std.log(), *logs, torch.full_like(std, done)), 1)
