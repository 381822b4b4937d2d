"""The skip network that untrained methods begin with, if it fits into memory."""

import os
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from undegrade.core.image import Image
from undegrade.learned.autocast_cell import Precision, computing_dtype
from undegrade.networks.random_projector import RandomProjector
from undegrade.networks.skip import Correction, Padding, SkipNetwork
from undegrade.untrained.drawing import Drawing

Fitted = Literal["weights", "code"]

_CHANNELS, _SKIP = 16, 4  # of the code, and of each skip connection
# Copies that a layer's output makes of itself until the backward pass has used it, by count:
# the convolution's, the normalized one, and what the backward pass holds beside them.
_COPIES = 3
_TAPS = 9  # of a kernel
_MOMENTS = 7  # tensors as large as the weights: they, their gradient and its two means, old and new
_LIVE_SHARE = 0.9  # of the free memory: the rest of the program wants some too


def skip_drawing(
    like: Image,
    widths: Sequence[int],
    padding: Padding,
    seed: int,
    precision: Precision = "float32",
    *,
    guided: bool = False,
    fit: Fitted = "weights",
) -> Drawing:
    """Random weights and a random code, both of one seed, for pictures like these.

    A guided one draws a correction of the picture where the solve starts. Where the code is fitted
    (`RandomProjector`), the weights stay random.

    Raises:
        ValueError: the network does not fit into memory; the sentence says which widths would.
    """
    _refuse_what_does_not_fit(like, widths)
    outputs, skips = like.shape[1], (_SKIP,) * len(widths)
    inputs = _CHANNELS + (outputs if guided else 0)
    finish = nn.Identity() if guided else nn.Sigmoid()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SkipNetwork(inputs, outputs, widths, skips, padding, finish=finish)
    drawing = Correction(network, outputs) if guided else network
    if fit == "code":
        drawing = RandomProjector(drawing, _CHANNELS, (like.shape[2], like.shape[3]))
    return Drawing(
        network=drawing.to(like),
        channels=_CHANNELS,
        seed=seed,
        guided=guided,
        # autocast knows no double precision, which nobody asks for to have less
        dtype=computing_dtype(precision, like.device)
        if like.dtype == torch.float32
        else torch.float32,
    )


def bytes_needed(like: Image, widths: Sequence[int]) -> int:
    """About what one iteration takes at once: every layer's output is kept for its gradient."""
    per_pixel, weights, below = 0.0, 0, [*widths[1:], widths[-1]]
    enter = [_CHANNELS, *widths[:-1]]
    for level, (comes, width, rise) in enumerate(zip(enter, widths, below, strict=True)):
        here = 2 * _SKIP + rise + 2 * width  # skip, the two joined, and the two layers up
        per_pixel += (here + width / 2) / 4**level  # the two layers down have a quarter of it
        weights += width * (_TAPS * (comes + width + rise + _SKIP) + width)
    pixels = like.shape[2] * like.shape[3]
    once = _COPIES * (_CHANNELS + per_pixel) * pixels + _MOMENTS * weights
    return round(len(like) * once * like.element_size())


def free_bytes(like: Image) -> int:
    """Memory that is free where these pictures lie."""
    if like.is_cuda:
        return torch.cuda.mem_get_info(like.device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _refuse_what_does_not_fit(like: Image, widths: Sequence[int]) -> None:
    needed, free = bytes_needed(like, widths), free_bytes(like)
    if needed <= _LIVE_SHARE * free:
        return
    smaller = tuple(widths)
    while max(smaller) > 1 and bytes_needed(like, smaller) > _LIVE_SHARE * free:
        smaller = tuple(max(width // 2, 1) for width in smaller)
    fits = bytes_needed(like, smaller) <= _LIVE_SHARE * free
    advice = f"widths {smaller} would fit" if fits else "no width would fit"
    raise ValueError(
        f"a network of widths {tuple(widths)} needs about {needed / 1e9:.1f} GB for"
        f" {like.shape[2]}×{like.shape[3]} pixels and {free / 1e9:.1f} GB are free; {advice}"
    )
