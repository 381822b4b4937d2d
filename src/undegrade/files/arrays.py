"""Arrays of numbers from files that nobody vouches for: .npy, .npz, .mat."""

import importlib
import io
import math
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from undegrade.files.complaint import in_short
from undegrade.files.matlab import Numbers, read_matlab

_LARGEST = 1 << 28  # bytes of a file or of a member of an archive: no kernel comes near
_HDF5 = b"\x89HDF\r\n\x1a\n"


def read_arrays(path: str | Path) -> list[Numbers]:
    """Every array of numbers in a file, real or complex, of any number of dimensions, in order.

    A .npy has one; a .npz has its members; a .mat (of MATLAB 4 to 7.3) has its variables, with
    those in cells and structures. What the content is decides, not the suffix. Sizes are checked
    before they are believed, and nothing in a file can run.

    Raises:
        OSError: there is no such file, or it cannot be opened.
        ValueError: the file is damaged, too large, or of another kind.
    """
    path = Path(path)
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} has more than {_LARGEST >> 20} MB")
    data = path.read_bytes()
    kind, reader = _reader(data)
    try:
        arrays = reader(data)
    except Exception as error:  # the libraries' readers meet damage with any exception whatever
        raise ValueError(f"{path} is not a readable {kind} file: {in_short(error)}") from error
    return [a for a in arrays if np.issubdtype(a.dtype, np.number) or a.dtype == np.bool_]


def _reader(data: bytes) -> tuple[str, Callable[[bytes], list[Numbers]]]:
    if data.startswith(b"\x93NUMPY"):
        return ".npy", lambda data: [_numpy(data)]
    if data.startswith(b"PK"):
        return ".npz", _archive
    if _HDF5 in (data[:8], data[512:520]):
        return "MATLAB 7.3", _hdf5
    return ".npy, .npz or .mat", read_matlab


def _numpy(data: bytes) -> Numbers:
    """One array; numpy's own parser of the header, then sizes that must fit."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"its format version {version} is not known")
    old = version == (1, 0)
    header = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
    try:
        shape, fortran, dtype = header(file)
    except Exception as error:  # a header that is no literal: SyntaxError, TokenError and others
        raise ValueError("its header is damaged") from error
    if dtype.hasobject or dtype.kind not in "biufc":
        raise ValueError(f"expected numbers, it holds {dtype}")
    rest = data[file.tell() :]
    count = math.prod(shape)
    if min(shape, default=0) < 0 or count * dtype.itemsize != len(rest):
        raise ValueError(f"an array of {shape} does not have {len(rest)} bytes")
    return np.frombuffer(rest, dtype, count).reshape(shape, order="F" if fortran else "C")


def _archive(data: bytes) -> list[Numbers]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [m for m in archive.infolist() if m.filename.endswith(".npy")]
        if sum(m.file_size for m in members) > _LARGEST:
            raise ValueError(f"it holds more than {_LARGEST >> 20} MB")
        try:
            return [_numpy(archive.read(m)) for m in members]
        except zlib.error as error:
            raise ValueError(f"its compressed part is damaged ({error})") from error


def _hdf5(data: bytes) -> list[Numbers]:
    """The variables of a .mat file of MATLAB 7.3; columns come first there."""
    h5py: Any = importlib.import_module("h5py")
    found = list[Numbers]()

    def visit(dataset: Any) -> None:
        if not isinstance(dataset, h5py.Dataset) or dataset.nbytes > _LARGEST:
            return
        if dataset.dtype == h5py.ref_dtype:  # a cell array
            found.extend(_plain(dataset.file[cell][()]) for cell in dataset[()].ravel())
        elif dataset.dtype.kind in "biufV" and dataset.attrs.get("MATLAB_class") != b"char":
            found.append(_plain(dataset[()]))

    with h5py.File(io.BytesIO(data), "r") as file:
        for name in file:
            if not name.startswith("#"):
                visit(file[name])
    return found


def _plain(values: Any) -> Numbers:
    """Transposed to rows first; a pair of real and imaginary part becomes a complex number."""
    array = np.asarray(values).T
    if array.dtype.names == ("real", "imag"):
        return array["real"] + 1j * array["imag"]
    return array
