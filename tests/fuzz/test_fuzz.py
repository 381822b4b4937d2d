"""Ten thousand damaged inputs within two minutes: each is read, or refused in one sentence.

The seeds are committed, so that every run sees the same; `make fuzz` runs it.
"""

import hashlib
import io
import json
import random
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
import torch
from PIL import Image

from tests.fuzz.mutate import mutated
from undegrade.degradations.description import read_description, write_description
from undegrade.degradations.flags import DegradationFlags
from undegrade.files.arrays import read_arrays
from undegrade.files.checkpoint import load_checkpoint, save_checkpoint
from undegrade.files.picture import read_picture, write_image, write_picture
from undegrade.machines.weight_file import load_weights
from undegrade.restorers.recurrent_inference import WEIGHTS

pytestmark = pytest.mark.slow
SEED = 20261125
_LONGEST = 1200  # characters of a complaint, the path included
_SLOWEST = 10.0  # seconds for one input, on a busy machine


def harmless(path: Path, read: Callable[[Path], object]) -> None:
    """Read it, or refuse it as a user can understand."""
    began = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(path)
    except (ValueError, OSError) as error:
        text = str(error)
        assert path.name in text
        assert "\n" not in text
        assert len(text) < _LONGEST
        text.encode()
    assert time.perf_counter() - began < _SLOWEST


def fuzzed(path: Path, count: int, read: Callable[[Path], object]) -> None:
    """Damage a file over and over, always in the same ways."""
    whole, draw = path.read_bytes(), random.Random(f"{SEED} {path.name}")
    for _ in range(count):
        path.write_bytes(mutated(whole, draw))
        harmless(path, read)


def pictures(folder: Path) -> Iterator[Path]:
    draw = np.random.default_rng(SEED)
    color = Image.fromarray(draw.integers(0, 256, (23, 31, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8769] = 6, "Maker", {0x9003: "2026:01:02 03:04:05"}
    for name in ("a.png", "a.jpg", "a.webp", "a.bmp", "a.tif"):
        options = {} if name == "a.bmp" else {"exif": exif.tobytes()}
        color.save(folder / name, **options)
        yield folder / name
    color.quantize(16).save(folder / "palette.png", transparency=3)
    yield folder / "palette.png"
    write_image(folder / "deep.png", torch.rand(1, 3, 9, 8), dtype="uint16")
    yield folder / "deep.png"
    for name, dtype in (("deep.tif", np.uint16), ("float.tif", np.float32)):
        samples = (draw.random((16, 16, 3)) * 60000).astype(dtype)
        tifffile.imwrite(folder / name, samples, photometric="rgb", compression="zlib")
        yield folder / name
    tifffile.imwrite(folder / "imagej.tif", draw.random((9, 8)).astype(np.float32), imagej=True)
    yield folder / "imagej.tif"


def test_pictures(tmp_path):
    def there_and_back(path: Path) -> None:
        picture = read_picture(path)
        try:
            write_picture(path, picture)
        except ValueError as error:  # such as a JPEG with alpha, or a name that ends otherwise
            raise ValueError(f"{path}: {error}") from error

    for path in pictures(tmp_path):
        fuzzed(path, 350, there_and_back)


def kernels(folder: Path) -> Iterator[Path]:
    k = np.random.default_rng(SEED).random((5, 7))
    cells = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = k, k + 1j
    scipy.io.savemat(folder / "five.mat", {"k": k, "text": "words", "cells": cells})
    scipy.io.savemat(folder / "seven.mat", {"k": k, "st": {"a": k}}, do_compression=True)
    scipy.io.savemat(folder / "four.mat", {"k": k, "z": k + 1j}, format="4")
    np.save(folder / "a.npy", k)
    np.savez_compressed(folder / "a.npz", k, k)
    with h5py.File(folder / "hdf5.mat", "w", userblock_size=512) as file:
        file["k"], file["#refs#/a"] = k, k
        file.create_dataset("cells", (1,), h5py.ref_dtype)[0] = file["#refs#/a"].ref
    yield from sorted(folder.iterdir())


def test_kernels(tmp_path):
    for path in kernels(tmp_path):
        fuzzed(path, 400, read_arrays)


def test_descriptions(tmp_path):
    path = tmp_path / "a.json"
    flags = DegradationFlags(blur="disk:1", mask=0.5, noise="salt-and-pepper:0.1", bits=8)
    write_description(path, flags.draw((3, 8, 6), torch.Generator().manual_seed(SEED)))
    fuzzed(path, 1200, read_description)


VALUES = (
    None, True, 0, -1, 1, 2, 3, 10**9, 10**30, 1.5, -0.0, 1e39, 1e308, float("inf"), float("nan"),
    "", "a" * 10_000, "\ud800", "gaussian", [], [1], [[]], [3, 3], [0.5] * 9, {}, {"kind": 1},
)  # fmt: skip


def rewritten(data: object, draw: random.Random) -> object:
    """The data with one of its values, somewhere within, replaced by another."""
    if isinstance(data, dict) and data and draw.random() < 0.9:
        key = draw.choice(list(data))
        return {**data, key: rewritten(data[key], draw)}
    if isinstance(data, list) and data and draw.random() < 0.5:
        at = draw.randrange(len(data))
        return [*data[:at], rewritten(data[at], draw), *data[at + 1 :]]
    return draw.choice(VALUES)


def test_descriptions_of_impossible_things(tmp_path):
    path, draw = tmp_path / "a.json", random.Random(SEED)
    flags = DegradationFlags(blur="disk:1", downsample=2, mask=0.5, noise="poisson:30", bits=8)
    write_description(path, flags.draw((3, 8, 6), torch.Generator().manual_seed(SEED)))
    data = json.loads(path.read_text())
    for _ in range(1200):
        path.write_text(json.dumps(rewritten(data, draw)))
        harmless(path, read_description)


def test_checkpoints_with_a_right_hash(tmp_path):
    path, draw = tmp_path / "a.pt", random.Random(SEED)
    content = {"iteration": 3, "name": "a", "model": {"w": torch.ones(3, 2)}, "rows": [0.5, None]}
    save_checkpoint(path, content)
    whole, start = path.read_bytes(), len(b"undegrade checkpoint 1\n")
    for _ in range(600):
        payload = mutated(whole[start + 32 :], draw)
        path.write_bytes(whole[:start] + hashlib.sha256(payload).digest() + payload)
        harmless(path, lambda path: load_checkpoint(path, content))


def test_weights(tmp_path):
    """The header alone: the numbers behind it have a hash."""
    path, draw = tmp_path / "a.safetensors", random.Random(SEED)
    whole = next(WEIGHTS.glob("*.safetensors")).read_bytes()[:40_000]
    for _ in range(400):
        path.write_bytes(mutated(whole, draw))
        harmless(path, load_weights)


WORDS = (
    "gaussian", "laplace", "poisson", "salt-and-pepper", "disk", "motion", "shake", "", "a" * 5000,
    "inf", "nan", "-1", "0", "1e39", "1e-46", "1e308", "0.5", "3", ":", "\udc80", "../x.png", "²",
)  # fmt: skip


def test_flags():
    draw = random.Random(SEED)
    for _ in range(1000):
        word = ":".join(draw.choice(WORDS) for _ in range(draw.randrange(1, 4)))
        name = draw.choice(("blur", "mask", "noise"))
        try:
            flags = DegradationFlags(**{name: word}, bits=draw.choice((None, 0, 8, 17)))
            built = flags.draw((1, 3, 24, 20), torch.Generator().manual_seed(0))
        except (ValueError, OSError) as error:
            assert "\n" not in str(error)
        else:
            y = built.degrade(torch.rand(1, 3, 24, 20), torch.Generator().manual_seed(0))
            assert bool(y.isfinite().all()), word
            buffer = io.StringIO()
            buffer.write(str(built.likelihood))
