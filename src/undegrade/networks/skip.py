"""The network whose architecture alone is the prior: an hourglass with thin skip connections."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Padding = Literal["zeros", "reflect", "replicate", "circular"]
Upsampling = Literal["bilinear", "nearest"]

_BLACK = 0.005  # about a gray level: nearer to 0 or 1 a sigmoid hardly has a gradient
_SLOPE = 0.2  # of the leaky rectifiers below 0, as published


class SkipNetwork(nn.Module):
    """z ↦ x in (0, 1): down by strided convolutions, up by interpolation, thin skips between.

    One level: x ↦ conv₁ conv₃ [skip(x), up(inner(conv₃ conv₃↓2 (x)))], each convolution followed
    by normalization over the picture and a leaky rectifier. Fitted to a picture by descent, such a
    network draws smooth and repeated structure long before noise. It fails for texture finer than
    the skips let through, and it draws noise too if the descent goes on.

    The normalization is over one picture: call it with a batch of one. A size that the levels do
    not divide is continued by replication, and the output is cropped again.

    References:
        Ulyanov, Vedaldi and Lempitsky, Deep image prior (2018), section 6.

    Good values:
        widths (128,)·5, skips (4,)·5, reflect, bilinear as published. Half of the time of an
        iteration at full resolution goes into the first level, so that narrow first levels are
        cheap: (16, 32, 64, 128, 128). Zeros are the fastest padding: the convolution does it.

    Arguments:
        inputs: channels of z.
        outputs: channels of x.
        widths: channels of each level, from full resolution down.
        skips: channels of the skip connection of each level; 0 for none.
        padding: how the picture goes on beyond its border.
        upsampling: how a coarse level is brought to the next finer one.
        finish: what brings the last layer's output into the range of x; by default a sigmoid.

    Raises:
        ValueError: no level; other than one skip per level; a width below 1 or a skip below 0.
    """

    def __init__(
        self,
        inputs: int = 32,
        outputs: int = 3,
        widths: Sequence[int] = (128,) * 5,
        skips: Sequence[int] = (4,) * 5,
        padding: Padding = "reflect",
        upsampling: Upsampling = "bilinear",
        finish: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if not widths or len(skips) != len(widths) or min(widths) < 1 or min(skips) < 0:
            raise ValueError(
                "expected one width ≥ 1 and one skip ≥ 0 per level,"
                f" got widths {tuple(widths)} and skips {tuple(skips)}"
            )
        self.inputs, self.divisor, self.upsampling = inputs, 2 ** len(widths), upsampling
        enter = [inputs, *widths[:-1]]  # channels that come down into each level
        rise = [*widths[1:], widths[-1]]  # channels that come up into each level
        self.skips = nn.ModuleList(
            _layer(n, skip, 1, padding) if skip else nn.Identity()
            for n, skip in zip(enter, skips, strict=True)
        )
        self.has_skip = tuple(skip > 0 for skip in skips)
        self.down = nn.ModuleList(
            nn.Sequential(_layer(n, w, 3, padding, 2), _layer(w, w, 3, padding))
            for n, w in pairwise([inputs, *widths])
        )
        self.up = nn.ModuleList(
            nn.Sequential(
                _normalization(skip + n), _layer(skip + n, w, 3, padding), _layer(w, w, 1, padding)
            )
            for skip, n, w in zip(skips, rise, widths, strict=True)
        )
        self.leave = nn.Conv2d(widths[0], outputs, 1)
        self.finish = nn.Sigmoid() if finish is None else finish

    def forward(self, z: Tensor) -> Tensor:
        h, w = z.shape[-2:]
        margin = (0, self._missing(w), 0, self._missing(h))
        u = functional.pad(z, margin, mode="replicate") if any(margin) else z
        skipped = list[Tensor]()
        for skip, down in zip(self.skips, self.down, strict=True):
            skipped.append(skip(u))
            u = down(u)
        for has, up in zip(reversed(self.has_skip), reversed(self.up), strict=True):
            u = functional.interpolate(
                u,
                scale_factor=2,
                mode=self.upsampling,
                align_corners=False if self.upsampling == "bilinear" else None,
            )
            beside = skipped.pop()
            u = up(torch.cat((beside, u), 1) if has else u)
        return self.finish(self.leave(u))[..., :h, :w]

    def _missing(self, size: int) -> int:
        """Pixels up to the next size that the levels divide, with two left at the coarsest one.

        One alone has neither a reflection nor a deviation to be normalized by.
        """
        return max(-size % self.divisor, 2 * self.divisor - size)


def _normalization(channels: int) -> nn.Module:
    """Mean 0 and deviation 1 over the picture, then a learned scale and shift."""
    return nn.BatchNorm2d(channels, track_running_stats=False)


def _layer(inputs: int, outputs: int, size: int, padding: Padding, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        # no bias: the normalization would take it out again
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False, padding_mode=padding),
        _normalization(outputs),
        nn.LeakyReLU(_SLOPE, inplace=True),
    )


class Correction(nn.Module):
    """(z, p) ↦ σ(logit p + N(z, p)): a network draws what a picture p lacks.

    Where the last layer of N is 0, fitting begins at p itself; what p has right costs no
    iterations. What is wrong with p in a way that the measurement does not contradict stays.

    Arguments:
        network: N, whose `finish` is the identity.
        outputs: channels of p, which are the last ones of the code.
    """

    def __init__(self, network: SkipNetwork, outputs: int) -> None:
        super().__init__()
        self.network, self.outputs = network, outputs
        nn.init.zeros_(network.leave.weight)
        if network.leave.bias is not None:
            nn.init.zeros_(network.leave.bias)

    def forward(self, code: Tensor) -> Tensor:
        picture = code[:, -self.outputs :].clamp(_BLACK, 1 - _BLACK)
        return torch.sigmoid(torch.logit(picture) + self.network(code).to(picture.dtype))
