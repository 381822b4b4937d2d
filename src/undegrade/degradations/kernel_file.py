"""A blur kernel from a file: numbers or a picture."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undegrade.files.arrays import read_arrays
from undegrade.files.codecs import SUFFIXES
from undegrade.files.picture import read_image

_NUMBERS = (".npy", ".npz", ".mat")


def read_kernel(name: str) -> Tensor:
    """The kernel in a .npy, .npz or .mat file or a picture; `FILE:3` takes the third of several.

    Numbers are taken as they are and must sum to about 1. A picture has no scale: its mean over
    channels is normalized.

    Raises:
        ValueError: no such file, a damaged one, or one that holds no kernel.
    """
    path, index = _split(name)
    if not path.is_file():
        raise ValueError(f"there is no kernel file {path}")
    if path.suffix.lower() in SUFFIXES:
        kernel = read_image(path).double().mean((0, 1))
        if not bool(kernel.sum() > 0):
            raise ValueError(f"the kernel {path} is all black")
        return checked_kernel(kernel / kernel.sum(), str(path))
    arrays = _arrays(path)
    if not 1 <= index <= len(arrays):
        raise ValueError(f"{path} holds {len(arrays)} kernel(s), number {index} was asked for")
    return checked_kernel(torch.from_numpy(arrays[index - 1].astype(np.float64)), str(path))


def checked_kernel(kernel: Tensor, name: str) -> Tensor:
    """The kernel in float32.

    Raises:
        ValueError: it is empty, has an even side, numbers that are not finite, or another sum.
    """
    shape = "×".join(map(str, kernel.shape))
    if kernel.ndim < 2 or kernel.numel() == 0 or any(n % 2 == 0 for n in kernel.shape[-2:]):
        raise ValueError(f"a kernel has an odd number of rows and columns, {name} has {shape}")
    total = kernel.sum((-2, -1))
    if not bool(kernel.isfinite().all()):
        raise ValueError(f"the kernel {name} has numbers that are not finite")
    if not bool(((total - 1).abs() < 0.01).all()):
        raise ValueError(f"a kernel sums to 1, {name} sums to {total.flatten()[0].item():.4g}")
    return kernel.float()


def _split(name: str) -> tuple[Path, int]:
    before, _, after = name.rpartition(":")
    return (Path(before), int(after)) if before and after.isdecimal() else (Path(name), 1)


def _arrays(path: Path) -> list[NDArray[Any]]:
    """Every two-dimensional array of numbers in a file, in order."""
    if path.suffix.lower() not in _NUMBERS:
        known = ", ".join((*_NUMBERS, *SUFFIXES))
        raise ValueError(f"a kernel file ends in one of {known}, got {path.name}")
    found = [plane for array in read_arrays(path) for plane in _planes(array)]
    if not found:
        raise ValueError(f"{path} holds no two-dimensional array of real numbers")
    return found


def _planes(array: NDArray[Any]) -> list[NDArray[Any]]:
    """The kernels in an array: itself, or its stacked planes."""
    if np.iscomplexobj(array) or array.ndim not in (2, 3):
        return []
    return [array] if array.ndim == 2 else list(array)
