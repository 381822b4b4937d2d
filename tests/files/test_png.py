"""16-bit PNGs: every row filter and interlacing, against an encoder written pixel by pixel."""

import struct
import tempfile
import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from undegrade.files.png import read_png16, write_png16

ADAM7 = [
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
    (1, 0, 2, 1),
]  # fmt: skip


def _paeth(a: int, b: int, c: int) -> int:
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]


def _rows(image: np.ndarray, filters: Sequence[int]) -> bytes:
    height, width, channels = image.shape
    if not image.size:
        return b""
    raw = [list(row.astype(">u2").tobytes()) for row in image]
    size, out = 2 * channels, bytearray()
    for i in range(height):
        kind = filters[i % len(filters)]
        out.append(kind)
        for j in range(width * size):
            a = raw[i][j - size] if j >= size else 0
            b = raw[i - 1][j] if i else 0
            c = raw[i - 1][j - size] if i and j >= size else 0
            guess = [0, a, b, (a + b) // 2, _paeth(a, b, c)][kind]
            out.append((raw[i][j] - guess) % 256)
    return bytes(out)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _encode(
    image: np.ndarray, filters: Sequence[int], *, interlaced: bool, key: bytes = b""
) -> bytes:
    height, width, channels = image.shape
    color = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    grids = ADAM7 if interlaced else [(0, 0, 1, 1)]
    body = b"".join(_rows(image[t::dt, s::ds], filters) for t, s, dt, ds in grids)
    packed = zlib.compress(body)
    header = struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, int(interlaced))
    middle = _chunk(b"tRNS", key) if key else b""
    cut = len(packed) // 2
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + middle
        + _chunk(b"IDAT", packed[:cut]) + _chunk(b"IDAT", packed[cut:]) + _chunk(b"IEND", b"")
    )  # fmt: skip


def _read(content: bytes) -> np.ndarray:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        return read_png16(file)


def _draw(shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 65536, shape, dtype=np.uint16)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("filters", [[0], [1], [2], [3], [4], [4, 3, 0, 2, 1]])
@pytest.mark.parametrize("shape", [(9, 7, 3), (5, 12, 4), (1, 1, 2), (6, 1, 3), (1, 6, 4)])
def test_reading(shape: tuple[int, int, int], filters: list[int], interlaced: bool) -> None:
    image = _draw(shape)
    content = _encode(image, filters, interlaced=interlaced)
    np.testing.assert_array_equal(_read(content), image)


@pytest.mark.parametrize("shape", [(130, 7, 3), (5, 12, 4), (1, 1, 2), (6, 1, 1)])
def test_writing(shape: tuple[int, int, int]) -> None:
    image = _draw(shape)
    with tempfile.TemporaryFile() as file:
        write_png16(file, image)
        file.seek(0)
        np.testing.assert_array_equal(read_png16(file), image)
        file.seek(0)
        with Image.open(file) as theirs:  # pillow keeps the upper byte of colors
            upper = np.asarray(theirs)
    expected = image[:, :, 0] if shape[2] == 1 else image >> 8
    if shape[2] == 2:
        expected = expected[:, :, [0, 0, 0, 1]]
    np.testing.assert_array_equal(upper, expected)


def test_a_key_color_becomes_alpha() -> None:
    image = _draw((4, 5, 3))
    key = image[2, 3].astype(">u2").tobytes()
    read = _read(_encode(image, [0], interlaced=False, key=key))
    assert read.shape == (4, 5, 4)
    assert read[2, 3, 3] == 0
    assert (read[..., 3] == 65535).sum() == 19


def test_what_is_refused() -> None:
    whole = _encode(_draw((4, 5, 3)), [0], interlaced=False)
    with pytest.raises(ValueError, match="ends early"):
        _read(whole[:-20])
    with pytest.raises(ValueError, match="row filter"):
        rows = zlib.compress(b"\x09" + bytes(6))
        header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
        _read(
                b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows)
                + _chunk(b"IEND", b"")
        )  # fmt: skip
    short = zlib.compress(bytes(7))
    header = struct.pack(">IIBBBBB", 9, 9, 16, 2, 0, 0, 0)
    with pytest.raises(ValueError, match="holds 7 bytes"):
        _read(
                b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", short)
                + _chunk(b"IEND", b"")
        )  # fmt: skip


def test_ties_of_the_paeth_predictor() -> None:
    """Few levels, so that the three distances are often equal."""
    image = np.random.default_rng(1).integers(0, 4, (30, 40, 3), dtype=np.uint16) * 257
    np.testing.assert_array_equal(_read(_encode(image, [4], interlaced=False)), image)
