"""A blur kernel from a file: numbers or a picture."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from undegrade.degradations.kernel_repair import Repaired, repaired
from undegrade.files.arrays import read_arrays
from undegrade.files.codecs import SUFFIXES
from undegrade.files.picture import read_image

_NUMBERS = (".npy", ".npz", ".mat")
_COLORS = 3
_GRAY = 0.02  # of the peak: kernels of colors that differ by less are one


def read_kernel(name: str) -> Tensor:
    """The kernel in a .npy, .npz or .mat file or a picture; `FILE:3` takes the third of several.

    Whatever it is stored as, the result has odd sides, its middle in the middle, and sum 1; see
    `read_kernel_file` for what was done to it.

    Raises:
        ValueError: no such file, a damaged one, or one that holds no kernel.
    """
    return read_kernel_file(name).kernel


def read_kernel_file(name: str) -> Repaired:
    """The kernel in a file, one (h w) or one per color (3 h w), and what was done to it.

    Raises:
        ValueError: no such file, a damaged one, or one that holds no kernel.
    """
    path, index = _split(name)
    if not path.is_file():
        raise ValueError(f"there is no kernel file {path}")
    notes = list[str]()
    if path.suffix.lower() in SUFFIXES:
        values, photographed = read_image(path)[0].double().numpy(), True
    else:
        values, photographed = _chosen(path, index, notes), False
    try:
        found = repaired(_alike(values), photographed=photographed)
    except ValueError as error:
        raise ValueError(f"{path} holds no kernel: {error}") from error
    return Repaired(found.kernel, tuple(f"kernel {path}: {n}" for n in (*notes, *found.notes)))


def _alike(values: NDArray[Any]) -> NDArray[Any]:
    """One kernel where the colors have about the same, (c h w) → (h w)."""
    if values.ndim == 2 or np.iscomplexobj(values):
        return values
    mean = values.mean(0)
    alike = np.abs(values - mean).max() <= _GRAY * np.abs(mean).max()
    return mean if alike or len(values) == 1 else values


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


def _split(name: str) -> tuple[Path, int | None]:
    before, _, after = name.rpartition(":")
    return (Path(before), int(after)) if before and after.isdecimal() else (Path(name), None)


def _chosen(path: Path, index: int | None, notes: list[str]) -> NDArray[Any]:
    """One array of a file: that of a number, else the first, or all three colors of it."""
    arrays = _arrays(path)
    if index is None and len(arrays) == 1:
        return _colors_first(arrays[0])
    found = [plane for array in arrays for plane in _planes(array)]
    unsaid = index is None
    index = 1 if index is None else index
    if not 1 <= index <= len(found):
        raise ValueError(f"{path} holds {len(found)} kernel(s), number {index} was asked for")
    if len(found) > 1 and unsaid:
        notes.append(f"the first of {len(found)} is taken; {path}:2 takes the second")
    return found[index - 1]


def _arrays(path: Path) -> list[NDArray[Any]]:
    """Every two-dimensional array of numbers in a file, or stack of them, in order."""
    if path.suffix.lower() not in _NUMBERS:
        known = ", ".join((*_NUMBERS, *SUFFIXES))
        raise ValueError(f"a kernel file ends in one of {known}, got {path.name}")
    found = [array for array in read_arrays(path) if array.ndim in (2, 3) and array.size]
    if not found:
        raise ValueError(f"{path} holds no two-dimensional array of numbers")
    return found


def _planes(array: NDArray[Any]) -> list[NDArray[Any]]:
    """The kernels in an array: itself, or its stacked planes."""
    return [array] if array.ndim == 2 else list(array)


def _colors_first(array: NDArray[Any]) -> NDArray[Any]:
    """One kernel (h w), or three (3 h w) of the colors; of another stack the first."""
    if array.ndim == 2:
        return array
    if array.shape[2] == _COLORS and min(array.shape[:2]) > _COLORS:
        return np.moveaxis(array, 2, 0)
    return array if len(array) == _COLORS else array[0]
