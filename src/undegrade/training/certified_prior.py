"""A prior learned from all crops at once, with gradients whose error is bounded."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from undegrade.bilevel.hypergradient import Implicit
from undegrade.bilevel.lower_level import LowerLevel
from undegrade.bilevel.maid import MAID, BarzilaiBorwein
from undegrade.bilevel.problem import Bilevel
from undegrade.core.functional import Functional
from undegrade.core.image import Image
from undegrade.core.objective import Fidelity, Objective
from undegrade.core.solver import Observer, solve
from undegrade.core.stopping import until
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.linear_algebra.least_squares import LeastSquares
from undegrade.operators.identity import Identity
from undegrade.priors.tikhonov import Tikhonov
from undegrade.priors.total_variation import TotalVariation
from undegrade.restorers.learned_prior import ROUNDED, LearnedPrior
from undegrade.solvers.lbfgs import LBFGS
from undegrade.training.expert_coordinates import ExpertCoordinates
from undegrade.training.prior_settings import PriorProgress, PriorSettings, Watch, about

_USUAL = 1.1  # total variation's weight in units of 1/std: where its search begins
_MEMORY = 0.85  # of Zhang and Hager's mean, as published
_CERTAIN = 1e-3  # of the first gradient's length: what is left of it is no decibel


class _Model(NamedTuple):
    """θ's start, θ ↦ prior and weight of the lower problem, and what of them a file holds."""

    start: Tensor
    coordinates: ExpertCoordinates | None
    std: float

    def parts(self, theta: Tensor) -> tuple[Functional, Tensor]:
        if self.coordinates is None:
            return TotalVariation(smoothing=ROUNDED), theta[:, 0].exp() / self.std
        return self.coordinates.prior(theta), theta.new_ones(1)

    def tensors(self, theta: Tensor) -> dict[str, Tensor]:
        prior, weight = self.parts(theta)
        return {"weight": weight[0]} if self.coordinates is None else dict(prior.named_buffers())


def descend_with_certificate(
    settings: PriorSettings, x: Image, y: Image, watch: Sequence[Watch]
) -> LearnedPrior:
    """Accelerated MAID from the start of the model.

    Arguments:
        settings: what is learned.
        x: the truth.
        y: the same with noise.
        watch: observers.
    """
    model = _model(settings)
    result = solve(
        MAID(step_size=settings.rate, steps=BarzilaiBorwein(), memory=_MEMORY),
        _problem(model, x, y),
        model.start,
        stop=until(iterations=settings.iterations, residual=_CERTAIN),
        observe=[_told(settings, watch)],
    )
    return LearnedPrior(model.tensors(result.x), model.std, about(settings))


def _model(settings: PriorSettings) -> _Model:
    std = settings.noise / 255
    if settings.model == "total-variation":
        return _Model(torch.tensor([[math.log(_USUAL)]]), None, std)
    coordinates = ExpertCoordinates(
        count=settings.filters, size=settings.size, convex=True, std=std
    )
    return _Model(coordinates.start(), coordinates, std)


def _problem(model: _Model, x: Image, y: Image) -> Objective[Bilevel, Tikhonov]:
    """The mean error per crop in units of the noise, and a penalty that weighs nothing."""
    data = LeastSquares(Identity(), y, model.std)

    def objective(theta: Tensor) -> Objective[LeastSquares, Functional]:
        prior, weight = model.parts(theta)
        return Objective(data, prior, weight.expand(len(y)))

    lower = LowerLevel(
        objective=objective,
        solver=LBFGS(memory=3),
        stop=until(iterations=500, residual=1e-7),  # MAID brings its own
        start=y,
    )
    scale = model.std * x.numel() ** 0.5
    return Objective(
        Bilevel(Fidelity(Identity(), Gaussian(scale), x), lower, Implicit()), Tikhonov(), 0.0
    )


def _told(settings: PriorSettings, watch: Sequence[Watch]) -> Observer:
    def observe(iteration: int, state: Any) -> dict[str, Tensor]:
        error = 2 * float(state.value[0]) * (settings.noise / 255) ** 2
        for observer in watch:
            observer(PriorProgress(iteration, settings.iterations, -10 * math.log10(error)))
        return {"bound": state.bound}

    return observe
