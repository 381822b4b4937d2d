"""Recurrent inference machines: descent whose step is a network."""

from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from undegrade.core.image import Image, PerSample, norm
from undegrade.core.objective import Fidelity
from undegrade.core.parametrization import Parametrization
from undegrade.learned.evidence import Evidence
from undegrade.learned.quadratic_model import Known


@runtime_checkable
class Cell(Protocol):
    """A network (features, hidden) ↦ (update, hidden); `start` makes the first hidden state."""

    def start(self, features: Tensor) -> Tensor: ...
    def __call__(self, features: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True, kw_only=True)
class RIMState:
    """The estimate, its latent, what is known of the measurement and the network's memory."""

    x: Image
    residual: PerSample
    latent: Tensor
    known: Known
    hidden: Tensor | None
    iteration: int


@final
class RIM(nn.Module):
    """ηₜ₊₁ = ηₜ + N_ω(evidence(ηₜ), sₜ), x = ψ(η): a solver whose step has weights.

    Some evidence moves the estimate before the network sees it; then the step begins there.
    Memory at inference does not grow with the number of steps: only the state lives on. The
    residual is the root-mean-square of the last update. It works for the degradations that the
    network was trained on and those near to them; it has no guarantee, and more steps than in
    training may make things worse.

    A cell for color sees a gray image as three equal channels, and its update is averaged.

    References:
        Putzky and Welling, Recurrent inference machines for solving inverse problems (2017);
        Andrychowicz et al., Learning to learn by gradient descent by gradient descent (2016).

    Arguments:
        cell: the network N_ω, such as `MultiscaleCell`.
        evidence: what the cell is shown.
        link: ψ, from the space of the steps to images, such as `Affine()`.
        colors: channels of the images that the cell was made for.
        recompute: while training, forget each step's activations and compute them again
            (gradient checkpointing): memory of one step instead of all, a third more time.

    Raises:
        ValueError: an image with neither one channel nor `colors`.
    """

    def __init__(
        self,
        cell: Cell,
        evidence: Evidence,
        link: Parametrization,
        colors: int = 3,
        *,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.cell, self.evidence = cell, evidence  # both are modules, and so are their weights ours
        self.link = link
        self.colors, self.recompute = colors, recompute

    def init(self, problem: Fidelity, x0: Image, near: RIMState | None = None) -> RIMState:
        """The state before the first step; nothing is taken from a state nearby."""
        del near
        if x0.shape[1] not in (1, self.colors):
            raise ValueError(
                f"this network restores images of 1 or {self.colors} channels, got {x0.shape[1]}"
            )
        with torch.autocast(x0.device.type, enabled=False):
            x0, known = self.evidence.start(problem, x0)
        latent = self.link.latent(x0)
        return RIMState(
            x=self.link.image(latent),
            residual=x0.new_full((len(x0),), torch.inf),
            latent=latent,
            known=known,
            hidden=None,
            iteration=0,
        )

    def step(self, problem: Fidelity, state: RIMState) -> RIMState:
        """One evaluation of the network."""
        if self.recompute and torch.is_grad_enabled():
            latent, hidden = checkpoint(
                self._advance, problem, state, state.latent, state.hidden, use_reentrant=False
            )
        else:
            latent, hidden = self._advance(problem, state, state.latent, state.hidden)
        move = (latent - state.latent).detach()
        return RIMState(
            x=self.link.image(latent),
            residual=norm(move) / (move[0].numel() ** 0.5),
            latent=latent,
            known=state.known,
            hidden=hidden,
            iteration=state.iteration + 1,
        )

    def _advance(
        self, problem: Fidelity, state: RIMState, latent: Tensor, hidden: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        with torch.autocast(latent.device.type, enabled=False):  # transforms need full precision
            seen = self.evidence.look(problem, state.known, latent, self.link, state.iteration)
        features = self._colored(seen.features, latent.shape[1])
        update, after = self.cell(features, self.cell.start(features) if hidden is None else hidden)
        update = update.to(latent.dtype)
        gray = latent.shape[1] == 1 and self.colors > 1
        return seen.base + (update.mean(1, keepdim=True) if gray else update), after

    def _colored(self, features: Tensor, channels: int) -> Tensor:
        """A gray image's features, repeated for every color; maps that come once stay single."""
        if channels == self.colors:
            return features
        once = 2 * self.evidence.channels(1) - self.evidence.channels(2)
        per_color = features.shape[1] - once
        each, single = features.split((per_color, once), 1)
        return torch.cat((each.repeat_interleave(self.colors, 1), single), 1)
