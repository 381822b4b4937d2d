"""Learns a prior: the loop, its checkpoints, and the two ways to go down."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from undegrade.bilevel.lower_level import LowerLevel
from undegrade.bilevel.tracked import Tracked, tracked_hypergradient
from undegrade.core.functional import Functional
from undegrade.core.image import Image
from undegrade.core.objective import Fidelity, Objective
from undegrade.core.stopping import until
from undegrade.files.checkpoint import (
    checkpoint_path,
    keep_newest,
    newest_checkpoint,
    save_checkpoint,
)
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.linear_algebra.least_squares import LeastSquares
from undegrade.metrics.luma import gray
from undegrade.operators.identity import Identity
from undegrade.restorers.learned_prior import LearnedPrior, save_prior
from undegrade.solvers.lbfgs import LBFGS
from undegrade.training.certified_prior import descend_with_certificate
from undegrade.training.expert_coordinates import ExpertCoordinates
from undegrade.training.pictures import Pictures, read_pictures
from undegrade.training.prior_settings import PriorProgress, PriorSettings, Watch, about

_BETAS = 0.9, 0.99  # of Adam
_WARM_UP = 20  # steps until the rate is at its highest: moments are not known before
_FIRST_ROUND = 3  # times as many inner iterations: nothing is known of the crops yet
_LEFT = 0.02  # of the rate at the end


def learn_prior(settings: PriorSettings, watch: Sequence[Watch] = ()) -> Path:
    """Learn, or go on learning, and return where the prior is.

    Raises:
        OSError: pictures cannot be read, or the file not be written.
        ValueError: settings that make no sense, pictures that are missing or too small.
    """
    x, y = drawn(settings)
    if settings.solver == "maid":
        learned = descend_with_certificate(settings, x, y, watch)
    else:
        run = _Run(settings, x, y)
        run.finish(watch)
        learned = run.learned()
    save_prior(settings.output, learned)
    return settings.output


def drawn(settings: PriorSettings) -> tuple[Image, Image]:
    """Gray crops, and the same with noise; (crops 1 crop crop)."""
    generator = torch.Generator().manual_seed(settings.seed)
    pictures = Pictures(read_pictures(settings.images))
    x = gray(pictures.draw(settings.crops, settings.crop, generator))
    return x, Gaussian(settings.noise / 255).sample(x, generator)


@final
class _Run:
    """Adam on mini-batches, every crop with the solution and the adjoint that it had last."""

    def __init__(self, settings: PriorSettings, x: Image, y: Image) -> None:
        self.settings, self.x, self.y, self.std = settings, x, y, settings.noise / 255
        self.coordinates = ExpertCoordinates(
            count=settings.filters,
            size=settings.size,
            convex=settings.model == "convex",
            std=self.std,
        )
        self.iteration, self.theta = 0, self.coordinates.start()
        self.first, self.second = torch.zeros_like(self.theta), torch.zeros_like(self.theta)
        self.at = Tracked(y.clone(), torch.zeros_like(y))
        self.folder = settings.output.with_suffix(".checkpoints")
        kept, _ = newest_checkpoint(self.folder, self._content())
        if kept is not None:
            self.iteration, self.theta = kept["iteration"], kept["theta"]
            self.first, self.second = kept["first"], kept["second"]
            self.at = Tracked(kept["x"], kept["adjoint"])

    def finish(self, watch: Sequence[Watch]) -> None:
        """All steps that are left, or those that the time allows; saved at the end."""
        began, settings = time.monotonic(), self.settings
        while self.iteration < settings.iterations:
            progress = self.step()
            late = 0 < settings.seconds <= time.monotonic() - began
            if late or self.iteration % settings.save_every == 0:
                self._save()
            for observer in watch:
                observer(progress)
            if late:
                return
        self._save()

    def step(self) -> PriorProgress:
        """One mini-batch."""
        rows = self._rows()
        upper = Fidelity(Identity(), Gaussian(1.0), self.x[rows])
        at = Tracked(self.at.x[rows], self.at.adjoint[rows])
        early = self.iteration < self.settings.crops // self.settings.batch
        inner = self.settings.inner * (_FIRST_ROUND if early else 1)
        step = tracked_hypergradient(upper, self._lower(rows), self.theta, at, inner)
        self.at.x[rows], self.at.adjoint[rows] = step.tracked
        self.iteration += 1
        count = self.x[rows].numel()
        self._move(step.gradient / count)
        error = 2 * float(step.value) / count
        return PriorProgress(self.iteration, self.settings.iterations, -10 * math.log10(error))

    def learned(self) -> LearnedPrior:
        """The prior at θ, with what is to be said of it."""
        prior = self.coordinates.prior(self.theta)
        return LearnedPrior(dict(prior.named_buffers()), self.std, about(self.settings))

    def _lower(self, rows: Tensor) -> LowerLevel:
        data = LeastSquares(Identity(), self.y[rows], self.std)

        def objective(theta: Tensor) -> Objective[LeastSquares, Functional]:
            return Objective(data, self.coordinates.prior(theta), 1.0)

        never = until(iterations=self.settings.inner)
        solver = LBFGS(memory=3)
        return LowerLevel(objective=objective, solver=solver, stop=never, start=self.y[rows])

    def _rows(self) -> Tensor:
        """The crops of this step: all of them once in every round, in an order of its own."""
        crops, batch = self.settings.crops, min(self.settings.batch, self.settings.crops)
        per_round = crops // batch
        turn, place = divmod(self.iteration, per_round)
        generator = torch.Generator().manual_seed(self.settings.seed + 1 + turn)
        order = torch.randperm(crops, generator=generator)
        return order[place * batch : (place + 1) * batch]

    def _move(self, gradient: Tensor) -> None:
        """Adam, with a rate that warms up and falls along a cosine."""
        t, (fast, slow) = self.iteration, _BETAS
        self.first = torch.lerp(gradient, self.first, fast)
        self.second = torch.lerp(gradient.square(), self.second, slow)
        mean, square = self.first / (1 - fast**t), self.second / (1 - slow**t)
        direction = self.coordinates.rates() * mean / (square.sqrt() + torch.finfo().tiny)
        self.theta = self.coordinates.projected(self.theta - self._rate() * direction)

    def _rate(self) -> float:
        done = self.iteration / self.settings.iterations
        falling = _LEFT + (1 - _LEFT) * 0.5 * (1 + math.cos(math.pi * done))
        return self.settings.rate * min(1.0, self.iteration / _WARM_UP) * falling

    def _content(self) -> dict[str, Any]:
        return {
            "about": repr(about(self.settings)),
            "iteration": self.iteration,
            "theta": self.theta,
            "first": self.first,
            "second": self.second,
            "x": self.at.x,
            "adjoint": self.at.adjoint,
        }

    def _save(self) -> None:
        save_checkpoint(checkpoint_path(self.folder, self.iteration), self._content())
        keep_newest(self.folder, 1)
        save_prior(self.settings.output, self.learned())
