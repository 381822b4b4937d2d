"""Recurrent inference machines: descent whose step is a network."""

from dataclasses import dataclass
from typing import Any, Protocol, final, runtime_checkable

from torch import Tensor, nn

from undegrade.core.image import Image, PerSample, norm
from undegrade.core.objective import Fidelity
from undegrade.core.parametrization import Parametrization
from undegrade.learned.features import Features


@runtime_checkable
class Cell(Protocol):
    """A network (features, hidden) ↦ (update, hidden); None is hidden before the first step."""

    def __call__(self, features: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True, kw_only=True)
class RIMState:
    """The estimate, its latent, what the features prepared, and the network's memory."""

    x: Image
    residual: PerSample
    latent: Tensor
    prepared: Any  # the features' own; no one else looks into it
    hidden: Tensor | None
    iteration: int


@final
class RIM(nn.Module):
    """ηₜ₊₁ = base(ηₜ) + N_ω(features(ηₜ), sₜ), x = ψ(η): a solver whose step has weights.

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
        features: what the cell is shown, such as `LeastSquaresFeatures()`.
        parametrization: ψ, from the space of the steps to images, such as `Affine()`.
        colors: channels of the images that the cell was made for.
        steps: of a whole restoration, over which schedules fall; further ones repeat the last.

    Raises:
        ValueError: no step; an image with neither one channel nor `colors`.
    """

    def __init__(
        self,
        cell: Cell,
        features: Features[Any],
        parametrization: Parametrization,
        *,
        colors: int = 3,
        steps: int,
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"expected one step or more, got {steps}")
        self.cell, self.features, self.parametrization = cell, features, parametrization
        self.colors, self.steps = colors, steps

    def with_cell(self, cell: Cell) -> "RIM":
        """The same machine around another cell."""
        return RIM(cell, self.features, self.parametrization, colors=self.colors, steps=self.steps)

    def with_steps(self, steps: int) -> "RIM":
        """The same machine for so many steps."""
        return RIM(self.cell, self.features, self.parametrization, colors=self.colors, steps=steps)

    def init(self, problem: Fidelity, x0: Image, near: RIMState | None = None) -> RIMState:
        """The state before the first step; nothing is taken from a state nearby."""
        del near
        if x0.shape[1] not in (1, self.colors):
            known = "1 channel" if self.colors == 1 else f"1 or {self.colors} channels"
            raise ValueError(f"this network restores images of {known}, got {x0.shape[1]}")
        x0, prepared = self.features.prepare(problem, x0, self.steps)
        latent = self.parametrization.latent(x0)
        return RIMState(
            x=self.parametrization.image(latent),
            residual=x0.new_full((len(x0),), float("inf")),
            latent=latent,
            prepared=prepared,
            hidden=None,
            iteration=0,
        )

    def step(self, problem: Fidelity, state: RIMState) -> RIMState:
        """One evaluation of the network."""
        shown = self.features.compute(
            problem, state.prepared, state.latent, self.parametrization, state.iteration
        )
        gray = state.latent.shape[1] == 1 and self.colors > 1
        seen = shown.stacked(self.colors if gray else 1)
        update, hidden = self.cell(seen, state.hidden)
        latent = shown.base + (update.mean(1, keepdim=True) if gray else update)
        move = (latent - state.latent).detach()
        return RIMState(
            x=self.parametrization.image(latent),
            residual=norm(move) / (move[0].numel() ** 0.5),
            latent=latent,
            prepared=state.prepared,
            hidden=hidden,
            iteration=state.iteration + 1,
        )
