"""A machine's first steps as one differentiable function, and the loss on them."""

from typing import final

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from undegrade.core.image import Image, PerSample
from undegrade.core.objective import Fidelity
from undegrade.learned.autocast_cell import AutocastCell
from undegrade.learned.rim import RIM, RIMState


@final
class Unrolled(nn.Module):
    """The estimates after each of the first steps of a machine, (steps b c h w).

    Arguments:
        rim: the machine; its weights are shared, not copied.
        dtype: what its cell computes in; operators and features keep full precision.
        recompute: forget each step's activations and compute them again (gradient checkpointing):
            memory of one step instead of all, a third more time.
    """

    def __init__(self, rim: RIM, dtype: torch.dtype, *, recompute: bool = False) -> None:
        super().__init__()
        self.rim, self.recompute = rim.with_cell(AutocastCell(rim.cell, dtype)), recompute

    def forward(self, problem: Fidelity, x0: Image, steps: int) -> Tensor:
        """All estimates."""
        state = self.rim.init(problem, x0)
        estimates = list[Tensor]()
        for _ in range(steps):
            state = self._step(problem, state)
            estimates.append(state.x)
        return torch.stack(estimates)

    def _step(self, problem: Fidelity, state: RIMState) -> RIMState:
        if self.recompute:
            return checkpoint(self.rim.step, problem, state, use_reentrant=False)
        return self.rim.step(problem, state)


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
    # an error of 1e-4, far below a gray level, where the root would have no slope
    return weights @ (squared + 1e-8).sqrt() / weights.sum()
