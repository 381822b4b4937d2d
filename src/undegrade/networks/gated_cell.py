"""The cell of recurrent inference machines: strided features and a convolutional GRU."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from undegrade.networks.residual_block import convolution


class ConvolutionalGRU(nn.Module):
    """Gated recurrent unit whose products are 3×3 convolutions.

    r, z = σ(K[u, s]),  ŝ = tanh(L[u, r⊙s]),  s ← (1 − z)⊙s + z⊙ŝ

    References:
        Cho et al., Learning phrase representations using RNN encoder–decoder (2014); Ballas, Yao,
        Pal and Courville, Delving deeper into convolutional networks (2016).

    Arguments:
        inputs: channels of u.
        width: channels of the state s.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.gates = convolution(inputs + width, 2 * width)
        self.candidate = convolution(inputs + width, width)

    def forward(self, u: Tensor, state: Tensor) -> Tensor:
        """The next state."""
        reset, new = torch.sigmoid(self.gates(torch.cat((u, state), 1))).chunk(2, 1)
        candidate = torch.tanh(self.candidate(torch.cat((u, reset * state), 1)))
        return state + new * (candidate - state)


@final
@dataclass(frozen=True, kw_only=True)
class GatedSettings:
    """Settings of `GatedCell`.

    Good values:
        the defaults: 2.4 M parameters, for 20 steps.

    Arguments:
        width: channels of the features at half resolution.
        state_width: channels of the hidden state.

    Raises:
        ValueError: a width below 1.
    """

    width: int = 64
    state_width: int = 256

    def __post_init__(self) -> None:
        if min(self.width, self.state_width) < 1:
            raise ValueError(f"expected widths above 0, got {self}")

    def build(self, features: int, colors: int) -> "GatedCell":
        """The cell, with weights drawn from torch's global generator."""
        return GatedCell(features, colors, self)


@final
class GatedCell(nn.Module):
    """(features, hidden) ↦ (update, hidden) of a recurrent inference machine.

    Convolution with stride 2, normalization, tanh; convolutional GRU; transposed convolution,
    normalization, tanh; convolution. Normalization is per sample (one group), not over the batch
    as in the paper, so that one picture's result does not depend on its neighbors.

    References:
        Putzky and Welling, Recurrent inference machines for solving inverse problems (2017),
        section 3.

    Arguments:
        features: number of input channels.
        colors: number of channels of the update.
        settings: widths.
    """

    def __init__(self, features: int, colors: int, settings: GatedSettings) -> None:
        super().__init__()
        width, state_width = settings.width, settings.state_width
        self.state_width = state_width
        self.enter = nn.Conv2d(features, width, 3, stride=2, padding=1)
        self.enter_norm = nn.GroupNorm(1, width)
        self.remember = ConvolutionalGRU(width, state_width)
        self.up = nn.ConvTranspose2d(state_width, width, 4, stride=2, padding=1)
        self.up_norm = nn.GroupNorm(1, width)
        self.leave = convolution(width, colors)

    def forward(self, features: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
        """One step; the first begins with a state of zeros."""
        h, w = features.shape[-2:]
        even = functional.pad(features, (0, w % 2, 0, h % 2), mode="replicate")
        u = torch.tanh(self.enter_norm(self.enter(even)))
        rest = u.new_zeros(len(u), self.state_width, *u.shape[-2:]) if hidden is None else hidden
        state = self.remember(u, rest)
        u = torch.tanh(self.up_norm(self.up(state)))
        return self.leave(u)[..., :h, :w], state
