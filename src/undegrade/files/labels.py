"""Label maps: pictures whose values are the numbers of classes."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from PIL import Image as Picture
from torch import Tensor

from undegrade.files.atomic import replacing
from undegrade.files.codecs import SUFFIXES

LABEL = "_label.png"
"""What a label map's name adds to the stem of its picture's."""


def read_labels(path: str | Path) -> Int[Tensor, "1 h w"]:
    """The class of every pixel: a gray or palette picture with 8 bits, whose values are numbers.

    Raises:
        OSError: there is no such file.
        ValueError: it is no picture, or one of colors.
    """
    try:
        with Picture.open(path) as picture:
            if picture.mode not in ("L", "P", "1"):
                raise ValueError(
                    f"a label map is a gray or palette picture of 8 bits whose values are the "
                    f"numbers of classes; {path} has the mode {picture.mode}"
                )
            values = np.array(picture, dtype=np.uint8)
    except (Picture.UnidentifiedImageError, SyntaxError) as error:
        raise ValueError(f"{path} is no picture that can be read") from error
    return torch.from_numpy(values)[None].long()


def write_labels(path: str | Path, labels: Int[Tensor, "1 h w"]) -> None:
    """Write a gray picture of 8 bits whose values are the numbers of the classes.

    Raises:
        OSError: it cannot be written.
    """
    picture = Picture.fromarray(labels[0].cpu().to(torch.uint8).numpy())
    with replacing(Path(path)) as file:
        picture.save(file, "PNG")


def labelled_pictures(folder: Path) -> list[tuple[Path, Path]]:
    """The pictures of a folder that have a label map beside them, X.jpg with X_label.png.

    Raises:
        ValueError: there is none.
    """
    pairs = [
        (path, path.with_name(path.stem + LABEL))
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.with_name(path.stem + LABEL).is_file()
    ]
    if not pairs:
        raise ValueError(f"there is no picture X with a label map X{LABEL} in {folder}")
    return pairs
