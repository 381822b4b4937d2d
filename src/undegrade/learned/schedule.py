"""How large an error to expect of the estimate at each move of a splitting method."""

from dataclasses import dataclass
from typing import Annotated, final

import torch
from jaxtyping import Float
from torch import Tensor

from undegrade.core.image import PerSample
from undegrade.core.ranges import POSITIVE, check_ranges


@final
@dataclass(frozen=True)
class ListedErrors:
    """τ as listed, the same for every noise level. Enough for noise and missing pixels.

    Good values:
        (0.05, 0.05, 0.03) for the start and two steps.

    Arguments:
        values: one for every move; the last goes on.

    Raises:
        ValueError: no value, or one that is not above 0.
    """

    values: tuple[float, ...] = (0.05, 0.05, 0.03)

    def __post_init__(self) -> None:
        if not self.values or not all(value > 0 for value in self.values):
            raise ValueError(f"expected errors above 0, at least one, got {self.values}")

    def errors(self, std: PerSample, steps: int) -> Float[Tensor, "n b"]:
        """(n b): the list for every sample."""
        del steps
        return std.new_tensor(self.values)[:, None].expand(-1, len(std))


@final
@dataclass(frozen=True)
class GeometricErrors:
    """τ falls geometrically from `first` to the noise level σ, for ill-conditioned operators.

    The first moves tell what strong smoothing can, the last ones details.

    References:
        Zhang et al., Plug-and-play image restoration with deep denoiser prior (2021), section 4.2.

    Good values:
        first 0.15; last 0.01, the noise of 8-bit files that look clean.

    Arguments:
        first: τ of the first move, or σ if that is larger.
        last: smallest τ.

    Raises:
        ValueError: a value that is not above 0.
    """

    first: Annotated[float, POSITIVE] = 0.15
    last: Annotated[float, POSITIVE] = 0.01

    def __post_init__(self) -> None:
        check_ranges(self)

    def errors(self, std: PerSample, steps: int) -> Float[Tensor, "n b"]:
        """(n b): one for each of the steps."""
        end = std.clamp(min=self.last)
        done = torch.linspace(0, 1, steps, dtype=std.dtype, device=std.device)[:, None]
        return end.clamp(min=self.first) ** (1 - done) * end**done
