"""The deep image prior: among the pictures that an untrained network can draw, one that fits."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undegrade.core.functional import Functional
from undegrade.core.image import Image, PerSample, norm, ratio
from undegrade.untrained.drawing import Drawing
from undegrade.untrained.update_rule import Adam, UpdateRule


class DeepImagePriorState(NamedTuple):
    """The picture just drawn and its loss; parameters and moments already moved on."""

    x: Image
    residual: PerSample
    loss: PerSample
    parameters: Float[Tensor, "b p"]
    moments: Float[Tensor, "k b p"]
    code: Float[Tensor, "n i h w"]
    iteration: Int[Tensor, ""]


@final
@dataclass(frozen=True, kw_only=True)
class DeepImagePrior:
    """Minimizes f(N_θ(z)) over the parameters θ of a network N, z a fixed random code.

    f is any functional with a gradient: a `Fidelity` (Gaussian for the published method, Laplace
    for DIP-L1), or an `Objective` with a prior (DIP-TV). The architecture is the regularization,
    and the number of iterations its strength: the picture comes first, noise later. So it needs a
    stopping rule, such as `Patience` on the variance of the last pictures. It fails for gross
    corruption under a Gaussian likelihood, and for texture, which comes as late as noise.

    Every sample has a network of its own. The residual is ‖x⁺ − x‖/‖x⁺‖.

    References:
        Ulyanov, Vedaldi and Lempitsky, Deep image prior (2018), eq. (2).

    Good values: Adam at 0.01; 1000 to 5000 iterations for photographs.

    Arguments:
        drawing: the network, and the code that it draws from.
        update: how a gradient moves the parameters.
    """

    drawing: Drawing
    update: UpdateRule = field(default_factory=Adam)

    def init(
        self, problem: Functional, x0: Image, near: DeepImagePriorState | None = None
    ) -> DeepImagePriorState:
        """The network as it came, or as it is in `near`; x0 gives the size, and the guide."""
        del problem
        unknown = x0.flatten(1)[:, 0] * 0 + math.inf
        parameters = self.drawing.parameters(x0) if near is None else near.parameters
        return DeepImagePriorState(
            x0,
            unknown,
            unknown,
            parameters,
            self.update.moments(parameters),
            self.drawing.code(x0),
            torch.zeros((), dtype=torch.int64),
        )

    def step(self, problem: Functional, state: DeepImagePriorState) -> DeepImagePriorState:
        count = state.iteration + 1
        x, pullback = self.drawing.draw(state.parameters, state.code, count)
        loss, gradient = problem.value_and_grad(x)
        parameters, moments = self.update.update(
            state.parameters, pullback(gradient), state.moments, count
        )
        change = ratio(norm(x - state.x), norm(x))
        change = change + 0 * loss  # a loss that is not finite is a divergence, whatever x does
        return DeepImagePriorState(x, change, loss, parameters, moments, state.code, count)
