"""Which of several kernels leaves the least structure in what the restored picture leaves."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from undegrade.core.image import Image, PerSample
from undegrade.core.measurement import Measurement
from undegrade.core.solver import solve
from undegrade.core.stopping import until
from undegrade.kernels.residual_color import residual_color
from undegrade.operators.blur import Blur
from undegrade.operators.padding import Boundary
from undegrade.restorers.initial import first_estimate
from undegrade.restorers.variational import Variational
from undegrade.solvers.lbfgs import LBFGS

_CLEARLY = 0.85  # of the given kernel's color: what another one must be below
# A weight that is too small makes kernels look whiter that are too blurred, a large one those that
# are too sharp. Both must agree.
_TIMES = (0.5, 2.0)
_ENOUGH = until(iterations=200, residual=1e-5, every=5)


def whitest(
    measurement: Measurement, kernels: Sequence[Tensor], boundary: Boundary, weight: float | None
) -> Tensor:
    """The kernel of every picture, (b c kh kw): the first one if no other is clearly better.

    Restores by total variation with each kernel, half and twice the weight, and compares
    `residual_color`. Knows what the power spectrum does not: phase, and whether a texture is soft
    by itself or by the blur.

    Arguments:
        measurement: its operator is not asked.
        kernels: of one shape, the given one first.
        boundary: of the blur.
        weight: of total variation; without one, it is chosen for the second kernel.
    """
    total_variation, usual = Variational(weight=weight), _with(measurement, kernels[1], boundary)
    weights = total_variation.choose_weight(usual, first_estimate(usual))
    each = [
        [_color(_with(measurement, k, boundary), times * weights) for k in kernels]
        for times in _TIMES
    ]
    colors = torch.stack([torch.stack(of_one) for of_one in each])  # times, kernels, pictures
    part = (colors / colors[:, :1]).amax(0)
    chosen = torch.where(part.amin(0) < _CLEARLY, part.argmin(0), 0)
    every = torch.arange(len(chosen), device=chosen.device)
    return torch.stack(list(kernels))[chosen, every]


def _with(measurement: Measurement, kernel: Tensor, boundary: Boundary) -> Measurement:
    return replace(measurement, operator=Blur(kernel, boundary))


def _color(measurement: Measurement, weight: PerSample) -> PerSample:
    """With the solution under this weight."""
    x0: Image = first_estimate(measurement)
    x = solve(LBFGS(memory=1), Variational().objective(measurement, weight), x0, stop=_ENOUGH).x
    residual = measurement.operator(x) - measurement.y
    return residual_color(residual * measurement.precision.sqrt())
