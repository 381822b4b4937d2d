"""The inner problem of a bilevel one: what is minimized for given parameters, and how."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from undegrade.bilevel.optimality import STATIONARITY, Optimality, Problem, Theta
from undegrade.core.image import Vector, per_sample
from undegrade.core.solver import Solver, solve
from undegrade.core.stopping import Status, Stop


@final
@dataclass(frozen=True, kw_only=True)
class LowerLevel:
    """θ ↦ x̂(θ) = argminₓ h(x; θ), with all that it takes to find and to differentiate it.

    A θ of shape (m, …) with a start of shape (k·m, …) is shared: sample i of θ belongs to the rows
    k·i to k·i + k − 1, such as one set of weights learned from k pictures.

    Arguments:
        objective: θ ↦ h(·; θ), differentiable in θ, for the rows of `start`.
        solver: minimizes h.
        stop: when it is near enough.
        start: where every solve begins.
        optimality: the equation at x̂ that is differentiated: `Stationarity()` where h is smooth,
            `ProximalStep()` where its prior is not.
        precondition: (solver's state) ↦ (r ↦ about H⁻¹r), for the adjoint system.
    """

    objective: Callable[[Tensor], Problem]
    solver: Solver[Any, Any]
    stop: Stop[Any]
    start: Vector
    optimality: Optimality = STATIONARITY
    precondition: Callable[[Any], Callable[[Vector], Vector]] | None = None

    @torch.no_grad()
    def solve(
        self, theta: Theta, start: Vector, stop: Stop[Any] | None = None
    ) -> tuple[Vector, Any]:
        """x̂(θ), found from `start`, and the solver's last state; NaN where the solver diverged."""
        problem = self.objective(theta.detach())
        found = solve(self.solver, problem, start, stop=stop or self.stop)
        lost = [status is Status.DIVERGED for status in found.status]
        return found.x.masked_fill(
            per_sample(torch.tensor(lost), start) > 0, torch.nan
        ), found.state
