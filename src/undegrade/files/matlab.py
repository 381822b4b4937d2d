"""MATLAB 5 to 7 files, read with every size checked before it is believed."""

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.number]

_LARGEST = 1 << 28  # bytes of one variable after decompression: no kernel comes near
_DEEPEST = 8  # cells within cells
_NUMBERS = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_INT32, _MATRIX, _COMPRESSED = 5, 14, 15
_CELL, _STRUCT, _SPARSE = 1, 2, 5
_NUMERIC = range(6, 16)  # the classes double, single, and integers of 8 to 64 bits
_COMPLEX = 0x0800
_VERSION_4 = ("f8", "f4", "i4", "i2", "u2", "u1")


@dataclass
class _Bytes:
    """What is left to read of a piece of the file, in the byte order of the file."""

    data: memoryview
    order: str

    def take(self, count: int) -> memoryview:
        if not 0 <= count <= len(self.data):
            raise ValueError(f"it ends early: {count} bytes were announced, {len(self.data)} left")
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def integers(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"{self.order}{count}I", self.take(4 * count))

    def element(self) -> tuple[int, "_Bytes"]:
        """The next data element: its type and its content, without the padding to 8 bytes."""
        (first,) = self.integers(1)
        if first >> 16:  # a small element: size and type in one word, the content in the next
            kind, size = first & 0xFFFF, first >> 16
            return kind, _Bytes(self.take(4)[:size], self.order)
        (size,) = self.integers(1)
        content = self.take(size)
        if first != _COMPRESSED:
            self.take(min(-size % 8, len(self.data)))
        return first, _Bytes(content, self.order)

    def numbers(self) -> Numbers:
        kind, content = self.element()
        if kind not in _NUMBERS:
            raise ValueError(f"numbers of the type {kind} are not known")
        dtype = np.dtype(self.order + _NUMBERS[kind])
        usable = len(content.data) // dtype.itemsize * dtype.itemsize
        return np.frombuffer(content.data[:usable], dtype)


def read_matlab(data: bytes) -> list[Numbers]:
    """Every array of numbers, those in cells and structures too, in the order of the file.

    Raises:
        ValueError: the file is damaged, too large, or holds a sparse matrix.
    """
    if len(data) >= 4 and 0 in data[:4]:
        return list(_version_4(data))
    marks = {b"IM": "<", b"MI": ">"}
    if data[126:128] not in marks:
        raise ValueError("it lacks the header of a MATLAB file")
    rest, found = _Bytes(memoryview(data)[128:], marks[data[126:128]]), list[Numbers]()
    while len(rest.data) >= 8:
        kind, content = rest.element()
        if kind == _COMPRESSED:
            kind, content = _Bytes(memoryview(_inflated(content.data)), rest.order).element()
        if kind == _MATRIX:
            found += _matrix(content)
    return found


def _inflated(data: memoryview) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(data, _LARGEST)
    except zlib.error as error:
        raise ValueError(f"its compressed part is damaged ({error})") from error
    if unpacker.unconsumed_tail:
        raise ValueError(f"a variable has more than {_LARGEST} bytes")
    return content


def _matrix(content: _Bytes, depth: int = 0) -> list[Numbers]:
    """The numeric arrays in one array element; text, functions and objects have none."""
    if not content.data or depth > _DEEPEST:
        return []
    flags = content.element()[1].integers(1)[0]
    kind, shape = flags & 0xFF, tuple(int(n) for n in content.numbers())
    content.element()  # the name
    if kind == _SPARSE:
        raise ValueError("it holds a sparse matrix: save full(K) instead")
    if kind in (_CELL, _STRUCT):
        if kind == _STRUCT:
            for _ in range(2):  # the names of the fields: their length, and all of them
                content.element()
        return [array for part in _parts(content) for array in _matrix(part, depth + 1)]
    if kind not in _NUMERIC:
        return []
    values = _shaped(content.numbers(), shape)
    return [values + 1j * _shaped(content.numbers(), shape) if flags & _COMPLEX else values]


def _parts(content: _Bytes) -> Iterator[_Bytes]:
    while len(content.data) >= 8:
        kind, part = content.element()
        if kind == _MATRIX:
            yield part


def _shaped(values: Numbers, shape: tuple[int, ...]) -> Numbers:
    """MATLAB stores columns first."""
    if min(shape, default=0) < 0 or math.prod(shape) != len(values):
        size = "×".join(map(str, shape[:4]))
        raise ValueError(f"an array of {size} does not have {len(values)} numbers")
    return values.reshape(shape, order="F")


def _version_4(data: bytes) -> Iterator[Numbers]:
    """The plain matrices of a file of MATLAB 4."""
    order = "<" if data[3] == 0 and struct.unpack("<I", data[:4])[0] < 5000 else ">"
    rest = _Bytes(memoryview(data), order)
    while rest.data:
        kind, rows, columns, is_complex, name = rest.integers(5)
        rest.take(name)
        layout, digits = kind // 10 % 10, kind % 10
        if kind >= 5000 or layout >= len(_VERSION_4) or is_complex > 1 or digits > 2 or not name:
            raise ValueError("it lacks the header of a MATLAB file")
        dtype = np.dtype(order + _VERSION_4[layout])
        parts = [
            np.frombuffer(rest.take(rows * columns * dtype.itemsize), dtype)
            for _ in range(1 + is_complex)
        ]
        values = parts[0] if is_complex == 0 else parts[0] + 1j * parts[1]
        if digits == 0:  # 1 is text, 2 is sparse
            yield _shaped(values, (rows, columns))
