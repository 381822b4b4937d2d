"""How a kind of noise is written: in flags, in descriptions, in DeepInverse."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from undegrade.core.likelihood import Likelihood


def standard_normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """n of the shape, dtype and device of `like`, drawn where the generator is."""
    n = torch.randn(like.shape, generator=generator, device=generator.device, dtype=like.dtype)
    return n.to(like)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What stands beside a likelihood, so that the rest of the house need not know its class.

    Arguments:
        name: of the kind, as flags and descriptions write it.
        kind: the likelihood's class.
        levels: its arguments, which are its buffers too; a flag gives the first.
        unit: the first level in the words of a command line.
        physics: the class of DeepInverse's noise model; None where it has none.
        from_physics: the levels in such a model, of any shape.
        per_entry: whether its levels may differ from channel to channel, and entry to entry.
    """

    name: str
    kind: Callable[..., Likelihood]
    levels: tuple[str, ...]
    unit: str
    physics: str | None = None
    from_physics: Callable[[Any], tuple[Tensor, ...]] = lambda _: ()
    per_entry: bool = False

    def __call__(self, *levels: float | Tensor) -> Likelihood:
        """The likelihood of these levels.

        Raises:
            ValueError: a level that is not finite in float32, or that makes no sense.
        """
        if not all(bool(torch.as_tensor(level).isfinite().all()) for level in levels):
            raise ValueError(f"{self.name} noise has finite levels, got {levels}")
        if not self.per_entry and any(torch.as_tensor(level).ndim > 1 for level in levels):
            raise ValueError(f"{self.name} noise has one level in all channels, got one for each")
        return self.kind(*levels)
