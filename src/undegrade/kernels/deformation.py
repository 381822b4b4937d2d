"""Kernels that are a given one stretched, turned and blurred: mistakes that five numbers undo."""

import itertools
import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

# How far the five numbers go, usually: entries of T, and pixels of the Gaussian.
_SPREAD = (0.3, 0.3, 0.3, 0.3, 0.7)
_SIZES, _TURNS, _STDS = (0.6, 0.75, 0.9, 1.0, 1.15, 1.4), (-20, -10, 0, 10, 20), (0.4, 0.9)
_REACH = 4  # pixels of the Gaussian on each side
_LEAST = 0.03  # pixels: a Gaussian of std 0 has no formula

MOVED = (1.0, 1.0, 1.0, 1.0, 0.0)
"""Which of the five numbers stretch and turn; the last one blurs."""


@final
@dataclass(frozen=True, eq=False)
class Deformation:
    """η ↦ i ↦ k(i + Ti) ∗ Gaussian(s), of sum 1, with (T, s) = η in usual units; k itself at η = 0.

    A motion that is too long, short or turned, a disk of another radius, a disk for a Gaussian, a
    Gaussian that was forgotten: most ways to be wrong about a kernel are near one of these. Five
    numbers are well told by a picture; all entries of a kernel are not, they fit its noise. By
    cubic interpolation about the middle.

    Arguments:
        kernel: k, (b c kh kw), nowhere negative; its channels are deformed alike.
        room: rows and columns by which the result is larger, on each side.
    """

    kernel: Tensor
    room: int

    def image(self, latent: Float[Tensor, "b 5"]) -> Float[Tensor, "b c rows columns"]:
        """The deformed kernel."""
        moved = latent * latent.new_tensor(_SPREAD)
        k = functional.pad(self.kernel.to(latent), (self.room,) * 4)
        stretched = _stretched(k, moved[:, :4].unflatten(1, (2, 2))).clamp(min=0)
        blurred = _blurred(_blurred(stretched, moved[:, 4], -1), moved[:, 4], -2)
        return blurred / blurred.sum((-2, -1), keepdim=True)

    def latent(self, x: Tensor) -> Float[Tensor, "b 5"]:
        """Of k itself, which is all whose η is known."""
        return x.new_zeros(len(x), len(_SPREAD))

    def pullback(self, latent: Tensor, gradient: Tensor) -> Tensor:
        """ψ′(η)ᵀ gradient."""
        pull = torch.func.vjp(self.image, latent)[1]
        return pull(gradient)[0]


def first_guesses(like: Tensor) -> Float[Tensor, "n 5"]:
    """Where to begin a search: sizes, angles and Gaussians on a coarse grid."""
    rows = list[list[float]]()
    for size, degrees, std in itertools.product(_SIZES, _TURNS, _STDS):
        cos, sin = (f(math.radians(degrees)) / size for f in (math.cos, math.sin))
        rows.append([cos - 1, -sin, sin, cos - 1, std])
    return like.new_tensor(rows) / like.new_tensor(_SPREAD)


def _stretched(k: Tensor, matrix: Float[Tensor, "b 2 2"]) -> Tensor:
    """i ↦ k(i + matrix i), rows and columns counted from the middle."""
    height, width = k.shape[-2:]
    rows, columns = (torch.arange(n, device=k.device) - n // 2 for n in (height, width))
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1).to(k)
    seen = places + torch.einsum("bij,hwj->bhwi", matrix, places)
    unit = seen.new_tensor([max(width // 2, 1), max(height // 2, 1)])
    return functional.grid_sample(k, seen.flip(-1) / unit, "bicubic", "zeros", align_corners=True)


def _blurred(k: Tensor, std: Float[Tensor, "b"], dim: int) -> Tensor:
    """Along one dimension."""
    t = torch.arange(-_REACH, _REACH + 1, device=k.device).to(k)
    weights = torch.softmax(-0.5 * t.square() / (std.square() + _LEAST**2)[:, None], 1)
    frame = (_REACH, _REACH, 0, 0) if dim == -1 else (0, 0, _REACH, _REACH)
    around = functional.pad(k, frame).unfold(dim, len(t), 1)
    return (around * weights[:, None, None, None]).sum(-1)
