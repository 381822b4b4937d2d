"""Pictures whose segmentation is a given label map."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple, final

import torch
from torch.nn import functional

from undegrade.core.image import Image, PerSample, norm, ratio
from undegrade.core.measurement import Measurement
from undegrade.core.objective import Fidelity, Objective
from undegrade.core.ranges import COUNT, POSITIVE, Range, check_ranges
from undegrade.core.solver import Observer, Result, advance, solve
from undegrade.core.stopping import until
from undegrade.learned.denoiser_cell import Denoiser
from undegrade.operators.views import View, Views, random_view
from undegrade.priors.box import Box
from undegrade.priors.proximity import Proximity
from undegrade.restorers.initial import first_estimate
from undegrade.restorers.plug_and_play import ShippedDenoiser
from undegrade.solvers.lbfgs import LBFGS

_DENOISER = ShippedDenoiser()
_SMOOTH = 25  # side of the mean that tells the colors of an area: denoisers drift in these
_UNIT = Box(0.0, 1.0)
_GENTLE = 0.3  # strength of the random views beside the picture itself in the last move
_REACH = 6.0  # of a move, in τ: 2 leaves labels unfitted until the end, 4 and 6 are about alike
_LAST_STEPS, _LAST_REACH = 60, 0.2  # of the last move: it settles single pixels


@final
@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """A picture that a network segments as was measured, and that looks like one to a denoiser.

    Half-quadratic splitting with a non-linear operator. Stage k moves the picture x to fit the
    labels in a few random views of it (`Views`), some τₖ from where it was, by a few L-BFGS steps;
    then noise of deviation τₖ is added and taken off by a denoiser, and areas keep their colors. τ
    falls geometrically. The last move fits the picture as it is, beside one view.

    The measurement's operator is the network, a `Function` with a `start` for label maps; its
    likelihood a `Categorical`. A network fitted alone, by L-BFGS and total variation, is satisfied
    by patterns that are no picture; views and denoiser are against these. It knows what the network
    knows: texture and outlines of objects, and neither light nor perspective.

    References:
        Zhang et al., Plug-and-play image restoration with deep denoiser prior (2021), for the
        splitting; Kadkhodaie and Simoncelli, Stochastic solutions for linear inverse problems using
        the prior implicit in a denoiser (2021), for the noise.

    Good values: the defaults, for 240×180 pixels; a minute of one core.

    Arguments:
        stages: how many, the last move not counted.
        steps: of L-BFGS in a stage.
        views: of the picture in a stage.
        first: τ of the first stage.
        last: τ of the last stage.
        anchor: part of the start that is mixed in after every stage.
        denoiser: (picture, deviation) ↦ picture.
        seed: of views and noise.

    Raises:
        ValueError: settings out of range.
    """

    stages: Annotated[int, COUNT] = 16
    steps: Annotated[int, Range(1, 1000)] = 6
    views: Annotated[int, Range(1, 100)] = 2
    first: Annotated[float, POSITIVE] = 0.12
    last: Annotated[float, POSITIVE] = 0.03
    anchor: Annotated[float, Range(0, 1)] = 0.05
    denoiser: Denoiser = _DENOISER
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(self)

    def restore(
        self, measurement: Measurement, *, observe: Sequence[Observer] = ()
    ) -> Result["SynthesisState"]:
        """The picture after the last move."""
        x0 = first_estimate(measurement).clamp(0, 1)
        stop = until(iterations=self.stages + 1)
        return solve(_Stages(self, x0), measurement, x0, stop=stop, observe=observe)


class SynthesisState(NamedTuple):
    """The picture, how far the last stage moved it, ‖Δx‖/‖x‖, and the stages that are done."""

    x: Image
    residual: PerSample
    stage: int


@final
@dataclass(frozen=True)
class _Stages:
    settings: Synthesis
    start: Image

    def init(
        self, problem: Measurement, x0: Image, near: SynthesisState | None = None
    ) -> SynthesisState:
        del problem, near
        return SynthesisState(x0, x0.new_full((len(x0),), torch.inf), 0)

    def step(self, problem: Measurement, state: SynthesisState) -> SynthesisState:
        settings, x = self.settings, state.x
        generator = torch.Generator().manual_seed(settings.seed + 1000003 * state.stage)
        if state.stage < settings.stages:
            views = [random_view(generator) for _ in range(settings.views)]
            tau = self._tau(state.stage)
            moved = _fitted(problem, views, x, _REACH * tau, settings.steps)
            after = self._denoised(moved, tau, generator)
        else:
            views = [View(), random_view(generator, _GENTLE)]
            after = _fitted(problem, views, x, _LAST_REACH, _LAST_STEPS)
        return SynthesisState(after, ratio(norm(after - x), norm(after)), state.stage + 1)

    def _tau(self, stage: int) -> float:
        first, last, stages = self.settings.first, self.settings.last, self.settings.stages
        return first * (last / first) ** (stage / max(stages - 1, 1))

    @torch.no_grad()
    def _denoised(self, x: Image, tau: float, generator: torch.Generator) -> Image:
        noise = torch.randn(x.shape[1:], generator=generator, dtype=x.dtype).to(x)
        found = self.settings.denoiser(x + tau * noise, x.new_full((len(x),), tau))
        found = found + _area_mean(x - found)
        return torch.lerp(found, self.start, self.settings.anchor)


def _fitted(
    problem: Measurement, views: Sequence[View], x: Image, reach: float, steps: int
) -> Image:
    """A few steps from x toward what fits all views, held by ½‖x⁺ − x‖²/reach²."""
    seen = Views(problem.operator, views, problem.operator.initial)
    fidelity = Fidelity(seen, problem.likelihood, seen.repeated(problem.y))
    near = Objective(fidelity, Proximity(x, reach), float(len(views)), _UNIT)
    return advance(LBFGS(memory=3), near, x, steps).x


def _area_mean(x: Image) -> Image:
    side = min(_SMOOTH, *(n // 2 * 2 - 1 for n in x.shape[-2:]))
    pad = (side // 2,) * 4
    return functional.avg_pool2d(functional.pad(x, pad, mode="replicate"), side, stride=1)
