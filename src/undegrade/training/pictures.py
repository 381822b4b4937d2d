"""Crops of a folder of pictures, drawn on the device where they are used."""

from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
import torch
from PIL import Image as Picture
from torch import Tensor

from undegrade.core.image import Image
from undegrade.files.picture import pictures_below, read_image


@final
class Pictures:
    """8-bit color pictures of any size in one buffer, from which random crops are gathered.

    Every crop is flipped and turned at random. Smaller copies of the pictures (by `scales`) are
    kept beside them: more texture per pixel, as more pictures would give. Colors of other scenes
    and cameras come from `recolored` ones. The buffer is 3 bytes per pixel, and lives where the
    crops are wanted.

    Good values:
        scales (1, 0.8, 0.6) for few pictures; recolored 0.3 for pictures of one source.

    Arguments:
        pictures: arrays of shape (h, w, 3), uint8.
        scales: sizes of the copies relative to the originals.
        recolored: probability of a crop to be `recolor`ed.
        device: where the buffer lives.

    Raises:
        ValueError: no pictures.
    """

    def __init__(
        self,
        pictures: Sequence[np.ndarray],
        scales: Sequence[float] = (1.0,),
        *,
        recolored: float = 0.0,
        device: torch.device | None = None,
    ) -> None:
        if not pictures:
            raise ValueError("expected at least one picture to train on, got none")
        copies = [_scaled(picture, scale) for picture in pictures for scale in scales]
        flat = [torch.from_numpy(copy.reshape(-1, 3)) for copy in copies]
        lengths = torch.tensor([len(f) for f in flat])
        self.pixels, self.recolored = torch.cat(flat).to(device), recolored
        self.sizes = torch.tensor([c.shape[:2] for c in copies])
        self.offsets = lengths.cumsum(0) - lengths

    def draw(self, count: int, size: int, generator: torch.Generator) -> Image:
        """Random crops, (count, 3, size, size) in [0, 1]; larger pictures more often.

        Raises:
            ValueError: no picture is as large as the crop.
        """
        room = (self.sizes - size + 1).clamp(min=0)
        area = room.prod(1).double()
        if not bool((area > 0).any()):
            raise ValueError(f"no picture is as large as the crop of {size}×{size} pixels")
        which = torch.multinomial(area, count, replacement=True, generator=generator)
        corner = (torch.rand(count, 2, generator=generator) * room[which]).long()
        turn = torch.randint(8, (count,), generator=generator)
        device = self.pixels.device
        index = _indices(self.offsets[which], corner, self.sizes[which, 1], turn, size, device)
        x = self.pixels[index].permute(0, 3, 1, 2).float() / 255
        if self.recolored == 0:
            return x
        chosen = torch.rand(count, generator=generator) < self.recolored
        return torch.where(chosen.reshape(-1, 1, 1, 1).to(device), recolor(x, generator), x)


def recolor(x: Image, generator: torch.Generator) -> Image:
    """Each of the pictures in [0, 1] with other colors, as of another scene or camera, in [0, 1].

    The three channels come in a random order, with a contrast of 0.7 to 1.6 times the picture's own
    and a saturation of 0.5 to 2 times.
    """
    order = torch.rand(len(x), 3, generator=generator).argsort(1).to(x.device)
    exponents = torch.rand(2, len(x), 1, 1, 1, generator=generator).to(x.device)
    contrast, saturation = 0.7 * (1.6 / 0.7) ** exponents[0], 4 ** exponents[1] / 2
    x = x.take_along_dim(order[:, :, None, None], 1)
    gray, level = x.mean(1, keepdim=True), x.mean((1, 2, 3), keepdim=True)
    return (level + contrast * (gray - level + saturation * (x - gray))).clamp(0, 1)


def read_pictures(folders: Sequence[Path]) -> list[np.ndarray]:
    """Every picture below the folders, in the order of their names, as (h, w, 3) uint8.

    Raises:
        ValueError: a folder that does not exist or has no pictures, or a picture that is damaged.
    """
    pictures = list[np.ndarray]()
    for folder in folders:
        paths = pictures_below(folder)
        if not paths:
            raise ValueError(f"no pictures in {folder}")
        pictures += [_eight_bit(read_image(path)) for path in paths]
    return pictures


def _eight_bit(x: Image) -> np.ndarray:
    levels = (x.clamp(0, 1) * 255).round().byte().expand(1, 3, -1, -1)
    return np.ascontiguousarray(levels[0].permute(1, 2, 0).numpy())


def _indices(
    offset: Tensor, corner: Tensor, width: Tensor, turn: Tensor, size: int, device: torch.device
) -> Tensor:
    """Where the pixels of each crop lie in the buffer, for one of the 8 ways to turn a square."""
    offset, corner, width, turn = (
        t.to(device).reshape(-1, *t.shape[1:], 1, 1) for t in (offset, corner, width, turn)
    )
    row = torch.arange(size, device=device)[None, :, None]
    column = torch.arange(size, device=device)[None, None, :]
    down, across = (turn & 1) > 0, (turn & 2) > 0
    row, column = (
        torch.where(down, size - 1 - row, row),
        torch.where(across, size - 1 - column, column),
    )
    row, column = (
        torch.where((turn & 4) > 0, column, row),
        torch.where((turn & 4) > 0, row, column),
    )
    return offset + (corner[:, 0] + row) * width + corner[:, 1] + column


def _scaled(picture: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return picture.copy()
    h, w = picture.shape[:2]
    size = max(1, round(scale * w)), max(1, round(scale * h))
    return np.array(Picture.fromarray(picture).resize(size, Picture.Resampling.BICUBIC))
