"""Double over-parameterization: a network draws the picture, g∘g − h∘h the corruption."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undegrade.core.functional import require_kind
from undegrade.core.image import Image, PerSample, dot, norm, ratio
from undegrade.core.objective import Fidelity
from undegrade.untrained.difference_of_squares import HyperbolicMirror, SparseRule
from undegrade.untrained.drawing import Drawing
from undegrade.untrained.update_rule import Adam, UpdateRule


class DoubleOverparametrizationState(NamedTuple):
    """The picture just drawn and its loss; all that is fitted has already moved on."""

    x: Image
    residual: PerSample
    loss: PerSample
    corruption: Float[Tensor, "b *m"]
    factors: Float[Tensor, "b *k"]
    parameters: Float[Tensor, "b p"]
    moments: Float[Tensor, "k b p"]
    code: Float[Tensor, "n i h w"]
    iteration: Int[Tensor, ""]


@final
@dataclass(frozen=True, kw_only=True)
class DoubleOverparametrization:
    """Fits A(N_θ(z)) + s to y in squares, s sparse by the way it is reached.

    s = g∘g − h∘h starts near 0, and an entry of it grows exponentially for as long as the network
    misses that entry of y. What the network can learn, it has learned before; what is left becomes
    s. So gross corruption is taken out without its fraction, its values or its place, and once
    A(x) + s = y nothing moves: no early stopping. The ratio of the two rates is what λ is to
    ‖X‖_* + λ‖s‖₁. Fails where corruption is dense, or so regular that the network draws it; fine
    texture that the network is slow to draw is taken for corruption.

    The problem is a `Fidelity` for its operator and measurement; the fit is in squares whatever its
    likelihood, since s is the model of the noise. Every sample has a network of its own. The
    residual is ‖x⁺ − x‖/‖x⁺‖.

    References:
        You, Zhu, Qu and Ma, Robust recovery via implicit bias of discrepant learning rates for
        double over-parameterization (2020), eqs. (6), (7) and section 4.2.

    Good values: the defaults, at widths of 16 and more.

    Arguments:
        drawing: the network, and the code that it draws from.
        update: how a gradient moves the parameters.
        sparse: how a residual moves the corruption.
    """

    drawing: Drawing
    update: UpdateRule = field(default_factory=Adam)
    sparse: SparseRule = field(default_factory=HyperbolicMirror)

    def init(
        self, problem: Fidelity, x0: Image, near: DoubleOverparametrizationState | None = None
    ) -> DoubleOverparametrizationState:
        """The network as it came, or as it is in `near`; s is what x0 misses grossly."""
        require_kind(
            "DoubleOverparametrization",
            "problem",
            problem,
            Fidelity,
            "DeepImagePrior takes any functional",
        )
        unknown = x0.flatten(1)[:, 0] * 0 + math.inf
        parameters = self.drawing.parameters(x0) if near is None else near.parameters
        factors = self.sparse.begin(problem.y - problem.operator(x0))
        return DoubleOverparametrizationState(
            x0,
            unknown,
            unknown,
            self.sparse.corruption(factors),
            factors,
            parameters,
            self.update.moments(parameters),
            self.drawing.code(x0),
            torch.zeros((), dtype=torch.int64),
        )

    def step(
        self, problem: Fidelity, state: DoubleOverparametrizationState
    ) -> DoubleOverparametrizationState:
        count = state.iteration + 1
        x, pullback = self.drawing.draw(state.parameters, state.code, count)
        prediction, jacobian = problem.operator.linearize(x)
        missed = prediction + state.corruption - problem.y
        gradient = pullback(jacobian.adjoint(missed))
        parameters, moments = self.update.update(state.parameters, gradient, state.moments, count)
        factors = self.sparse.update(state.factors, missed, count)
        return DoubleOverparametrizationState(
            x,
            ratio(norm(x - state.x), norm(x)),
            0.5 * dot(missed, missed),
            self.sparse.corruption(factors),
            factors,
            parameters,
            moments,
            state.code,
            count,
        )
