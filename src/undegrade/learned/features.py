"""What a learned method is shown of a problem: the degradation reaches the network only here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from undegrade.core.image import Image
from undegrade.core.objective import Fidelity
from undegrade.core.parametrization import Parametrization

M = TypeVar("M")
Estimate = Callable[[Tensor], Image]
"""What a machine makes of a y, before `finish`."""


@dataclass(frozen=True)
class Shown:
    """The input of a cell by its parts, and the point that its update is added to.

    Arguments:
        base: where the cell stands, in the space of the steps.
        per_color: images side by side, (b, images·c, h, w).
        single: maps that come once, whatever the number of colors, (b, maps, h, w).
    """

    base: Tensor
    per_color: Tensor
    single: Tensor

    def stacked(self, copies: int = 1) -> Tensor:
        """All channels side by side, each channel of an image `copies` times."""
        images = self.per_color if copies == 1 else self.per_color.repeat_interleave(copies, 1)
        return torch.cat((images, self.single), 1)


@runtime_checkable
class Features(Protocol[M]):
    """What a cell is shown.

    `channels` counts them for images of `colors` channels. `prepare` works out once what no step
    changes, and may move the start; `compute` makes the input of a step; `finish` may move the last
    estimate, and ask which one another y would have had. `local` says whether behind an identity a
    pixel is shown what lies around it and nothing else.
    """

    @property
    def local(self) -> bool: ...

    def channels(self, colors: int) -> int: ...
    def prepare(self, problem: Fidelity, x0: Image, steps: int) -> tuple[Image, M]: ...
    def compute(
        self,
        problem: Fidelity,
        prepared: M,
        latent: Tensor,
        parametrization: Parametrization,
        iteration: int,
    ) -> Shown: ...
    def finish(
        self, problem: Fidelity, prepared: M, x: Image, estimate: Estimate | None = None
    ) -> Image: ...
