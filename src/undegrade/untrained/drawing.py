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
Code = Float[Tensor, "n i h w"]  # n = 1: the same for every sample

_CODE_RANGE = 0.1  # of the uniform random code, as published


@final
@dataclass(frozen=True, kw_only=True)
class Drawing:
    """x = N_θ(z + noise): a network N, its parameters θ one row per sample, a random code z.

    Arguments:
        network: code (1, channels, h, w) ↦ picture (1, c, h, w). Its own parameters are where
            every sample starts; they are never changed.
        channels: of the random code.
        jitter: standard deviation of the noise that is added to the code, anew each iteration. It
            makes the network draw neighboring codes alike, which is worth some tenths of a dB.
        seed: of the code and the noise.
        guided: whether the picture where a solve starts follows the random code, as channels
            without noise: for networks such as `Correction`.
        dtype: that the network computes in, by autocast; the parameters and all else keep theirs.

    Raises:
        ValueError: less than one channel; a negative jitter.
    """

    network: nn.Module = field(repr=False)
    channels: int = 32
    jitter: float = 1 / 30
    seed: int = 0
    guided: bool = False
    dtype: torch.dtype = torch.float32

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
        code = _CODE_RANGE * torch.rand(shape, generator=generator, dtype=like.dtype).to(like)
        if not self.guided:
            return code
        return torch.cat((code.expand(len(like), -1, -1, -1), like), 1)

    def draw(
        self, parameters: Parameters, code: Code, count: Int[Tensor, ""]
    ) -> tuple[Image, Callable[[Image], Parameters]]:
        """The pictures without a graph, and (∂x/∂θ)ᵀ as a function that may be called once."""
        codes = self._jittered(code, int(count)).expand(len(parameters), -1, -1, -1)
        lower = self.dtype != torch.float32
        with (
            torch.enable_grad(),
            torch.autocast(parameters.device.type, self.dtype if lower else None, enabled=lower),
        ):
            followed = parameters.detach().requires_grad_()
            rows = [
                functional_call(self.network, dict(self._named(row)), (code,))
                for row, code in zip(followed, codes.split(1), strict=True)
            ]
            x = torch.cat(rows).to(parameters.dtype)

        def pullback(gradient: Image) -> Parameters:
            return torch.autograd.grad(x, followed, gradient)[0]

        return x.detach(), pullback

    def _jittered(self, code: Code, count: int) -> Code:
        """The noise follows from the seed and the iteration alone: no state holds a generator.

        Channels last is the layout in which convolutions in bfloat16 are several times as fast.
        """
        if self.jitter != 0:
            generator = torch.Generator().manual_seed(self.seed + count)
            shape = (1, self.channels, *code.shape[2:])
            noise = self.jitter * torch.randn(shape, generator=generator, dtype=code.dtype)
            random, guide = code.split((self.channels, code.shape[1] - self.channels), 1)
            code = torch.cat((random + noise.to(code), guide), 1)
        return code.contiguous(memory_format=torch.channels_last)

    def _named(self, row: Tensor) -> Iterator[tuple[str, Tensor]]:
        """The parameters by name, as views of one row; what is fixed in their dtype and place."""
        pieces = row.split([p.numel() for p in self.network.parameters()])
        for (name, p), piece in zip(self.network.named_parameters(), pieces, strict=True):
            yield name, piece.view_as(p)
        for name, buffer in self.network.named_buffers():
            yield name, buffer.to(row)
