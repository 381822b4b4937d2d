"""A blur kernel from a file: numbers or a picture."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undegrade.files.picture import read_image

_PICTURES = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg", ".webp")


def read_kernel(name: str) -> Tensor:
    """The kernel in a .npy or .mat file or a picture; `FILE:3` takes the third of several.

    Numbers are taken as they are and must sum to about 1. A picture has no scale: its mean over
    channels is normalized.

    Raises:
        ValueError: no such file, a damaged one, or one that holds no kernel.
    """
    path, index = _split(name)
    if not path.is_file():
        raise ValueError(f"there is no kernel file {path}")
    if path.suffix.lower() in _PICTURES:
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
    suffix = path.suffix.lower()
    if suffix not in (".npy", ".mat"):
        known = ", ".join((".npy", ".mat", *_PICTURES))
        raise ValueError(f"a kernel file ends in one of {known}, got {path.name}")
    stored = [_numpy(path)] if suffix == ".npy" else _matlab(path)
    found = [a for array in stored for a in _planes(array)]
    if not found:
        raise ValueError(f"{path} holds no two-dimensional array of numbers")
    return found


def _planes(array: NDArray[Any]) -> list[NDArray[Any]]:
    """The kernels in an array: itself, the cells of a cell array, or its stacked planes."""
    if array.dtype == object:
        return [plane for cell in array.ravel(order="F") for plane in _planes(np.asarray(cell))]
    if not np.issubdtype(array.dtype, np.number) or array.ndim not in (2, 3):
        return []
    return [array] if array.ndim == 2 else list(array)


def _numpy(path: Path) -> NDArray[Any]:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{path} is not a readable .npy file of numbers: {error}") from error


def _matlab(path: Path) -> list[NDArray[Any]]:
    """The variables of a .mat file; those of MATLAB 7.3 are HDF5 and need h5py."""
    scipy_io: Any = importlib.import_module("scipy.io")
    try:
        content = scipy_io.loadmat(path)
    except NotImplementedError:
        return _matlab_hdf5(path)
    except Exception as error:  # scipy raises what it meets in a damaged file
        raise ValueError(f"{path} is not a readable .mat file: {error}") from error
    return [value for key, value in content.items() if not key.startswith("__")]


def _matlab_hdf5(path: Path) -> list[NDArray[Any]]:
    try:
        h5py: Any = importlib.import_module("h5py")
    except ImportError as error:
        raise ValueError(
            f"{path} is a MATLAB 7.3 file: install h5py to read it, or save it with -v7"
        ) from error

    def resolved(file: Any, data: NDArray[Any]) -> NDArray[Any]:
        if data.dtype != object:
            return data.T  # MATLAB stores columns first
        cells = np.empty(data.size, object)
        cells[:] = [file[reference][()].T for reference in data.ravel()]
        return cells

    with h5py.File(path, "r") as file:
        return [resolved(file, file[key][()]) for key in file if not key.startswith("#")]
