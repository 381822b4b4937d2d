"""PNG with two or more channels of 16 bits, which pillow would cut down to 8."""

import itertools
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from undegrade.files.metadata import NO_METADATA, Metadata

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # color type → channels; 3 is a palette, never of 16 bits
_WHOLE = ((0, 0, 1, 1),)
_ADAM7 = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)
_BAND = 64  # rows that are filtered together: bounds the memory of writing


@dataclass(frozen=True)
class Header:
    """The IHDR chunk of a PNG."""

    width: int
    height: int
    depth: int
    color: int
    interlaced: bool


def read_header(head: bytes) -> Header | None:
    """The header of a PNG from its first 29 bytes; None for anything else."""
    if len(head) < 29 or head[:8] != SIGNATURE or head[12:16] != b"IHDR":
        return None
    width, height, depth, color, _, _, interlace = struct.unpack(">IIBBBBB", head[16:29])
    return Header(width, height, depth, color, bool(interlace))


def read_png16(file: BinaryIO) -> NDArray[np.uint16]:
    """The samples (h, w, c) of a 16-bit PNG; a color key becomes an alpha channel.

    References:
        Portable Network Graphics (PNG) Specification, 2nd edition, W3C (2003), sections 9 and 10.

    Raises:
        ValueError: the file is damaged or ends early.
    """
    header = read_header(file.read(29))
    if header is None or header.depth != 16 or header.color not in _CHANNELS:
        raise ValueError("expected a 16-bit PNG")
    file.seek(len(SIGNATURE))
    body, key = bytearray(), b""
    for kind, data in _chunks(file):
        if kind == b"IDAT":
            body += data
        elif kind == b"tRNS":
            key = data
    return _with_key(_decode(header, bytes(body)), key)


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise ValueError("the PNG ends early")
        (size,), kind = struct.unpack(">I", head[:4]), head[4:]
        data, check = file.read(size), file.read(4)
        if len(data) < size or len(check) < 4:
            raise ValueError("the PNG ends early")
        if zlib.crc32(data, zlib.crc32(kind)) != struct.unpack(">I", check)[0]:
            raise ValueError("a checksum of the PNG is wrong")
        if kind == b"IEND":
            return
        yield kind, data


def _decode(header: Header, body: bytes) -> NDArray[np.uint16]:
    channels = _CHANNELS[header.color]
    image = np.zeros((header.height, header.width, channels), np.uint16)
    grids = _ADAM7 if header.interlaced else _WHOLE
    parts = [image[top::down, left::right] for top, left, down, right in grids]
    parts = [part for part in parts if part.size]
    sizes = [part.shape[0] * (1 + 2 * part.shape[1] * channels) for part in parts]
    stream = zlib.decompressobj().decompress(body, sum(sizes) + 1)
    if len(stream) != sum(sizes):
        raise ValueError(f"the PNG holds {len(stream)} bytes where {sum(sizes)} belong")
    starts = itertools.accumulate(sizes[:-1], initial=0)
    for part, start, size in zip(parts, starts, sizes, strict=True):
        rows = np.frombuffer(stream, np.uint8, size, start).reshape(part.shape[0], -1)
        part[...] = _unfilter(rows, 2 * channels).view(">u2").reshape(part.shape)
    return image


def _unfilter(rows: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Undo the row filters; a pixel has `size` bytes and every row starts with its filter's kind.

    A pixel needs its left, upper and upper left neighbors, so all pixels of one anti-diagonal can
    be done at once. With a border of zeros, an anti-diagonal is a slice of the flat array.
    """
    kinds, height = rows[:, :1], len(rows)
    if kinds.max() > 4:
        raise ValueError(f"the PNG names a row filter {int(kinds.max())}; 0 to 4 exist")
    width = (rows.shape[1] - 1) // size
    image = np.zeros((height + 1, width + 1, size), np.uint8)
    image[1:, 1:] = rows[:, 1:].reshape(height, width, size)
    flat = image.reshape(-1, size)
    for diagonal in range(2, height + width + 1) if kinds.any() else ():
        low, high = max(1, diagonal - width), min(height, diagonal - 1)
        first, last = diagonal + low * width, diagonal + high * width + 1
        left, up, corner = (
            flat[first - back : last - back : width].astype(np.int16)
            for back in (1, width + 1, width + 2)
        )
        kind = kinds[low - 1 : high]
        guess = np.where(kind == 4, _paeth(left, up, corner), (left + up) >> 1)
        guess = np.where(kind == 2, up, np.where(kind == 1, left, guess))
        flat[first:last:width] += (guess * (kind > 0)).astype(np.uint8)
    return np.ascontiguousarray(image[1:, 1:]).reshape(height, -1)


def _paeth(
    left: NDArray[np.int16], up: NDArray[np.int16], corner: NDArray[np.int16]
) -> NDArray[np.int16]:
    """Whichever of the three is nearest to left + up − corner; ties in this order."""
    to_left, to_up = np.abs(up - corner), np.abs(left - corner)
    to_corner = np.abs(left + up - 2 * corner)
    nearest = np.where(to_up <= to_corner, up, corner)
    return np.where((to_left <= to_up) & (to_left <= to_corner), left, nearest)


def _with_key(image: NDArray[np.uint16], key: bytes) -> NDArray[np.uint16]:
    if not key or image.shape[2] not in (1, 3):
        return image
    lost = (image == np.frombuffer(key, ">u2")).all(2, keepdims=True)
    return np.concatenate((image, np.where(lost, 0, 65535).astype(np.uint16)), 2)


def write_png16(
    file: BinaryIO, image: NDArray[np.uint16], metadata: Metadata = NO_METADATA
) -> None:
    """Write samples (h, w, c), c from 1 to 4, as a 16-bit PNG."""
    height, width, channels = image.shape
    color = {c: color for color, c in _CHANNELS.items()}[channels]
    file.write(SIGNATURE)
    _write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0))
    for kind, data in _beside(metadata):
        _write_chunk(file, kind, data)
    packer = zlib.compressobj(6)
    above = np.zeros((1, width, 2 * channels), np.uint8)
    for start in range(0, height, _BAND):
        band = image[start : start + _BAND].astype(">u2").view(np.uint8)
        band = np.concatenate((above, band.reshape(-1, width, 2 * channels)))
        above = band[-1:]
        _write_chunk(file, b"IDAT", packer.compress(_filter(band)))
    _write_chunk(file, b"IDAT", packer.flush())
    _write_chunk(file, b"IEND", b"")


def _beside(metadata: Metadata) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of what the file says beside its pixels."""
    if metadata.profile:
        yield b"iCCP", b"profile\0\0" + zlib.compress(metadata.profile)
    if metadata.dpi is not None:
        x, y = (round(dots / 0.0254) for dots in metadata.dpi)
        yield b"pHYs", struct.pack(">IIB", x, y, 1)
    if metadata.xmp:
        yield b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp
    if metadata.exif:
        yield b"eXIf", metadata.exif.removeprefix(b"Exif\0\0")


def _filter(band: NDArray[np.uint8]) -> bytes:
    """Rows 1, 2, … of the band as differences from their Paeth prediction."""
    padded = np.pad(band, ((0, 0), (1, 0), (0, 0))).astype(np.int16)
    guess = _paeth(padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1])
    rows = (padded[1:, 1:] - guess).astype(np.uint8).reshape(len(band) - 1, -1)
    return np.pad(rows, ((0, 0), (1, 0)), constant_values=4).tobytes()


def _write_chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    check = zlib.crc32(data, zlib.crc32(kind))
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check))
