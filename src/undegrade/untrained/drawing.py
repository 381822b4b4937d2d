"""Pictures that networks draw: each of a batch by a network of its own, all of one architecture."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from undegrade.core.image import Image

Parameters = Float[Tensor, "b p"]
Code = Float[Tensor, "1 i h w"]

_CODE_RANGE = 0.1  # of the uniform random code, as published


@final
@dataclass(frozen=True, kw_only=True)
class Drawing:
    """x = N_θ(z + noise): a network N, its parameters θ one row per sample, a random code z.

    Arguments:
        network: code (1, channels, h, w) ↦ picture (1, c, h, w). Its own parameters are where
            every sample starts; they are never changed.
        channels: of the code.
        jitter: standard deviation of the noise that is added to the code, anew each iteration. It
            makes the network draw neighboring codes alike, which is worth some tenths of a dB.
        seed: of the code and the noise.

    Raises:
        ValueError: less than one channel; a negative jitter.
    """

    network: nn.Module = field(repr=False)
    channels: int = 32
    jitter: float = 1 / 30
    seed: int = 0

    def __post_init__(self) -> None:
        if self.channels < 1 or self.jitter < 0:
            raise ValueError(
                "expected 1 channel or more and a jitter of 0 or more,"
                f" got {self.channels} and {self.jitter}"
            )

    def parameters(self, like: Image) -> Parameters:
        """The parameters that the network came with, one row per image of `like`."""
        row = torch.cat([p.detach().flatten() for p in self.network.parameters()]).to(like)
        return row.expand(len(like), -1).clone()

    def code(self, like: Image) -> Code:
        """What the networks draw from: uniform in [0, 0.1), as many pixels as `like`."""
        generator = torch.Generator().manual_seed(self.seed)
        shape = (1, self.channels, *like.shape[2:])
        return _CODE_RANGE * torch.rand(shape, generator=generator, dtype=like.dtype).to(like)

    def draw(
        self, parameters: Parameters, code: Code, count: Int[Tensor, ""]
    ) -> tuple[Image, Callable[[Image], Parameters]]:
        """The pictures without a graph, and (∂x/∂θ)ᵀ as a function that may be called once."""
        code = self._jittered(code, int(count))
        with torch.enable_grad():
            followed = parameters.detach().requires_grad_()
            rows = [
                functional_call(self.network, dict(self._named(row)), (code,)) for row in followed
            ]
            x = torch.cat(rows)

        def pullback(gradient: Image) -> Parameters:
            return torch.autograd.grad(x, followed, gradient)[0]

        return x.detach(), pullback

    def _jittered(self, code: Code, count: int) -> Code:
        """The noise follows from the seed and the iteration alone: no state holds a generator."""
        if self.jitter == 0:
            return code
        generator = torch.Generator().manual_seed(self.seed + count)
        noise = torch.randn(code.shape, generator=generator, dtype=code.dtype)
        return code + self.jitter * noise.to(code)

    def _named(self, row: Tensor) -> Iterator[tuple[str, Tensor]]:
        """The parameters by name, as views of one row."""
        pieces = row.split([p.numel() for p in self.network.parameters()])
        for (name, p), piece in zip(self.network.named_parameters(), pieces, strict=True):
            yield name, piece.view_as(p)
