"""How a gradient moves the parameters of a network; each row of a batch is a network of its own."""

import math
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

Parameters = Float[Tensor, "b p"]
Moments = Float[Tensor, "k b p"]


@runtime_checkable
class UpdateRule(Protocol):
    """(θ, ∇, moments) ↦ (θ, moments). The moments are one tensor, so that a state can be saved."""

    def moments(self, parameters: Parameters) -> Moments: ...
    def update(
        self, parameters: Parameters, gradient: Parameters, moments: Moments, count: Int[Tensor, ""]
    ) -> tuple[Parameters, Moments]: ...


@final
@dataclass(frozen=True, kw_only=True)
class Adam:
    """θ⁺ = θ − rateₖ · m/(√v + ε), m and v running means of the gradient and of its square.

    The scale of the objective cancels, so that one rate serves every likelihood. It fits a network
    in a tenth of the iterations of `SteepestDescent`, and leaves an iterate that jumps by about
    the rate; so rateₖ = rate/(1 + k/settle), which depends on no number of iterations to come.

    References:
        Kingma and Ba, Adam: a method for stochastic optimization (2014), algorithm 1.

    Good values: rate 0.01 for the networks of the deep image prior, 0.003 where the last layer
    begins at 0; settle 500 to 1000 where the last iterate is wanted.

    Arguments:
        rate: about how far one step moves a parameter.
        mean_decay: how much of m survives a step.
        square_decay: how much of v survives a step.
        settle: steps after which the rate has halved.

    Raises:
        ValueError: a rate or a settle that is not positive; a decay outside [0, 1).
    """

    rate: float = 0.01
    mean_decay: float = 0.9
    square_decay: float = 0.999
    settle: float = math.inf

    def __post_init__(self) -> None:
        if not 0 <= self.mean_decay < 1 or not 0 <= self.square_decay < 1:
            raise ValueError(f"expected decays in [0, 1), got {self}")
        if not self.rate > 0 or not self.settle > 0:
            raise ValueError(f"expected a rate and a settle above 0, got {self}")

    def moments(self, parameters: Parameters) -> Moments:
        """m and v, both 0."""
        return parameters.new_zeros(2, *parameters.shape)

    def update(
        self, parameters: Parameters, gradient: Parameters, moments: Moments, count: Int[Tensor, ""]
    ) -> tuple[Parameters, Moments]:
        """Step number `count`, from 1 on; means that began at 0 are corrected for it."""
        m = torch.lerp(gradient, moments[0], self.mean_decay)
        v = torch.lerp(gradient.square(), moments[1], self.square_decay)
        seen = count.to(gradient.dtype)
        rate = self.rate / (1 + seen / self.settle) / (1 - self.mean_decay**seen)
        size = (v / (1 - self.square_decay**seen)).sqrt()
        # ε only keeps 0/0 away, so that the step does not depend on the scale of the objective
        return parameters - rate * m / (size + torch.finfo(size.dtype).tiny), torch.stack((m, v))


@final
@dataclass(frozen=True, kw_only=True)
class SteepestDescent:
    """θ⁺ = θ − rate · decayᵏ · ∇: no memory, and the published rule of two methods.

    With a decay below 1 on an objective with kinks these are the geometrically diminishing steps
    that keep the deep image prior with L1 loss from fitting the corruption.

    References:
        Ding, Jiang, Chen, Qu and Zhu, Rank overspecified robust matrix recovery (2021).

    Good values: decay 1 for smooth objectives. The rate is relative to the objective's scale.

    Arguments:
        rate: of the first step.
        decay: factor between the rates of two steps, in (0, 1].

    Raises:
        ValueError: a rate that is not positive; a decay outside (0, 1].
    """

    rate: float
    decay: float = 1.0

    def __post_init__(self) -> None:
        if not self.rate > 0 or not 0 < self.decay <= 1:
            raise ValueError(f"expected a rate above 0 and a decay in (0, 1], got {self}")

    def moments(self, parameters: Parameters) -> Moments:
        """None."""
        return parameters.new_zeros(0, *parameters.shape)

    def update(
        self, parameters: Parameters, gradient: Parameters, moments: Moments, count: Int[Tensor, ""]
    ) -> tuple[Parameters, Moments]:
        """Step number `count`, from 1 on."""
        rate = self.rate * self.decay ** (count.to(gradient.dtype) - 1)
        return parameters - rate * gradient, moments
