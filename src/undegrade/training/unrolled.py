"""A solver's first steps as one differentiable function, and how good they are."""

from typing import final

import torch
from torch import Tensor, nn

from undegrade.core.image import Image, PerSample
from undegrade.core.objective import Fidelity
from undegrade.learned.rim import RIM


@final
class Unrolled(nn.Module):
    """The estimates after each of the first steps of a machine, (steps b c h w)."""

    def __init__(self, rim: RIM) -> None:
        super().__init__()
        self.rim = rim

    def forward(self, problem: Fidelity, x0: Image, steps: int) -> Tensor:
        """All estimates."""
        state = self.rim.init(problem, x0)
        estimates = list[Tensor]()
        for _ in range(steps):
            state = self.rim.step(problem, state)
            estimates.append(state.x)
        return torch.stack(estimates)


def unrolled_loss(estimates: Tensor, truth: Image, decay: float) -> PerSample:
    """Σₜ decay^(T−t) ‖xₜ − x*‖ / Σₜ decay^(T−t), ‖·‖ the root-mean-square of a sample.

    The root makes pictures with much and with little noise count alike, and its gradient has the
    direction of the squared error's, which is what PSNR measures.

    Good values:
        decay 1 (all steps alike, as in the papers) to 0.5.

    Arguments:
        estimates: (steps b c h w).
        truth: (b c h w).
        decay: in (0, 1].
    """
    squared = (estimates - truth).square().flatten(2).mean(2)
    steps = len(estimates)
    weights = decay ** torch.arange(steps - 1, -1, -1, device=squared.device, dtype=squared.dtype)
    return weights @ (squared + 1e-8).sqrt() / weights.sum()
