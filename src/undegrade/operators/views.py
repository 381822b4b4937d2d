"""A network's answer to several views of one picture: what is only seen from one says little."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from undegrade.core.image import Image
from undegrade.core.operator import Operator

_DARKEST = 1e-3  # a power has no slope at black
_ROOM = 16  # pixels that a view is shifted by at most: a period of networks with four halvings


@final
@dataclass(frozen=True, kw_only=True)
class View:
    """How a picture is shown to a network; the defaults show it as it is.

    Arguments:
        zoom: of height and width.
        shift: rows and columns that it moves down and right, the border continued.
        mirrored: left to right.
        power: x ↦ x^power, a change of contrast.
        gains: of red, green and blue.
        std: of white noise, always the same one for a seed.
        seed: of the noise.
    """

    zoom: float = 1.0
    shift: tuple[int, int] = (0, 0)
    mirrored: bool = False
    power: float = 1.0
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    std: float = 0.0
    seed: int = 0

    def shown(self, x: Image) -> Tensor:
        """The picture as it is shown, up to 16 pixels larger than zoomed."""
        rows, columns = _zoomed(self.zoom, x.shape[-2:])
        z = x
        if (rows, columns) != tuple(x.shape[-2:]):
            z = functional.interpolate(x, (rows, columns), mode="bilinear", align_corners=False)
        down, right = self.shift
        if any(self.shift):
            z = functional.pad(z, (right, _ROOM - right, down, _ROOM - down), mode="replicate")
        z = z.flip(-1) if self.mirrored else z
        if self.power != 1:
            z = z.clamp(min=_DARKEST) ** self.power
        gains = torch.tensor(self.gains).to(z).reshape(1, 3, 1, 1)
        if not self.std:
            return z * gains
        noise = torch.randn(z.shape[1:], generator=torch.Generator().manual_seed(self.seed))
        return z * gains + self.std * noise.to(z)

    def back(self, scores: Tensor, size: Sequence[int]) -> Tensor:
        """Scores of what was shown, at the places of a picture of this size."""
        rows, columns = _zoomed(self.zoom, size)
        down, right = self.shift
        turned = scores.flip(-1) if self.mirrored else scores
        cut = turned[..., down : down + rows, right : right + columns]
        if (rows, columns) == tuple(size):
            return cut
        return functional.interpolate(cut, (size[0], size[1]), mode="bilinear", align_corners=False)


def random_view(generator: torch.Generator, strength: float = 1.0) -> View:
    """Zoom by up to √2, shift, mirroring, and what exposure does to a photograph.

    Arguments:
        generator: decides.
        strength: of the changes of contrast, color and noise; 1 spans what photographs do.
    """

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    def whole(below: int) -> int:
        return int(torch.randint(below, (), generator=generator))

    gains = [math.exp(0.25 * strength * uniform(-1.0, 1.0)) for _ in range(3)]
    return View(
        zoom=2 ** uniform(-0.5, 0.5),
        shift=(whole(_ROOM), whole(_ROOM)),
        mirrored=whole(2) == 1,
        power=math.exp(0.4 * strength * uniform(-1.0, 1.0)),
        gains=(gains[0], gains[1], gains[2]),
        std=max(0.0, strength * uniform(-0.05, 0.08)),
        seed=whole(2**30),
    )


@final
class Views(Operator):
    """x ↦ the scores of every view, each brought back to its place, one below the other.

    A network has weaknesses of its own, fine patterns that mean something to it and to nobody else.
    Seen zoomed, shifted, mirrored and recolored they mostly mean something else: what fits all
    views is more of a picture. `repeated` makes the measurement that belongs to it.

    References:
        Xie et al., Improving transferability of adversarial examples with input diversity (2019);
        Olah, Mordvintsev and Schubert, Feature visualization (2017), section on transformation
        robustness.

    Arguments:
        network: pictures (b 3 h w) ↦ scores (b classes h w).
        views: at least one.
        start: from a label map to a first picture.

    Raises:
        ValueError: there is no view.
    """

    def __init__(
        self,
        network: Callable[[Image], Tensor],
        views: Sequence[View],
        start: Callable[[Tensor], Image],
    ) -> None:
        super().__init__()
        if not views:
            raise ValueError("expected at least one view of the picture, got none")
        self.network, self.views, self.start = network, tuple(views), start

    def forward(self, x: Image) -> Float[Tensor, "b classes rows w"]:
        size = x.shape[-2:]
        return torch.cat([v.back(self.network(v.shown(x)), size) for v in self.views], 2)

    def initial(self, y: Tensor) -> Image:
        """From the first view's labels."""
        return self.start(y[..., : y.shape[-2] // len(self.views), :])

    def repeated(self, y: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 rows w"]:
        """The labels of one picture for every view of it."""
        return y.repeat(1, 1, len(self.views), 1)


def _zoomed(zoom: float, size: Sequence[int]) -> tuple[int, int]:
    return max(1, round(zoom * size[0])), max(1, round(zoom * size[1]))
