"""Arrays from files that nobody vouches for."""

import io
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from undegrade.files.arrays import read_arrays

K = np.random.default_rng(0).random((5, 7))


def matlab(path: Path, content: dict, **options) -> None:
    scipy.io.savemat(path, content, **options)


@pytest.mark.parametrize("compressed", [False, True])
def test_matlab_5_reads_as_scipy_does(tmp_path, compressed):
    cells = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = K, K.astype(np.float32) + 2j
    content = {
        "k": K, "text": "words", "i": np.arange(-3, 3, dtype=np.int16).reshape(2, 3),
        "cube": np.arange(24.0).reshape(2, 3, 4), "cells": cells, "record": {"a": K, "b": "x"},
        "flags": K > 0.5,
    }  # fmt: skip
    matlab(tmp_path / "a.mat", content, do_compression=compressed)
    arrays = read_arrays(tmp_path / "a.mat")
    expected = [K, content["i"], content["cube"], cells[0, 0], cells[0, 1], K, content["flags"]]
    assert len(arrays) == len(expected)
    for ours, theirs in zip(arrays, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_matlab_4(tmp_path):
    matlab(tmp_path / "a.mat", {"k": K, "text": "words", "z": K + 2j}, format="4")
    plain, turned = read_arrays(tmp_path / "a.mat")
    np.testing.assert_array_equal(plain, K)
    np.testing.assert_array_equal(turned, K + 2j)


def test_matlab_of_the_other_byte_order(tmp_path):
    """Written by hand: MATLAB on another machine."""
    numbers = K.astype(">f8").tobytes(order="F")
    parts = struct.pack(">IIII", 6, 8, 6, 0) + struct.pack(">IIII", 5, 8, *K.shape)
    parts += struct.pack(">HHI", 1, 1, ord("k") << 24) + struct.pack(">II", 9, len(numbers))
    body = parts + numbers
    data = b" " * 124 + b"\1\0MI" + struct.pack(">II", 14, len(body)) + body
    (tmp_path / "a.mat").write_bytes(data)
    np.testing.assert_array_equal(read_arrays(tmp_path / "a.mat")[0], K)


def test_matlab_7_3(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["k"] = K.T
        file["#refs#/a"] = 2 * K.T
        cells = file.create_dataset("cells", (1,), h5py.ref_dtype)
        cells[0] = file["#refs#/a"].ref
        pair = np.zeros(K.T.shape, [("real", "f8"), ("imag", "f8")])
        pair["real"], pair["imag"] = K.T, 2
        file["z"] = pair
    second, first, third = read_arrays(tmp_path / "a.mat")
    np.testing.assert_array_equal(first, K)
    np.testing.assert_array_equal(second, 2 * K)
    np.testing.assert_array_equal(third, K + 2j)


def test_numpy_files(tmp_path):
    np.save(tmp_path / "a.npy", np.asfortranarray(K))
    np.savez_compressed(tmp_path / "b.npz", K, np.arange(3))
    (tmp_path / "renamed.npy").write_bytes((tmp_path / "b.npz").read_bytes())
    np.testing.assert_array_equal(read_arrays(tmp_path / "a.npy")[0], K)
    for name in ("b.npz", "renamed.npy"):
        assert [a.shape for a in read_arrays(tmp_path / name)] == [(5, 7), (3,)]


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + data


def _bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(300 << 20))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (npy("{'descr': '<f8', 'shape': (2,"), "header is damaged"),
        (npy("   {'descr'"), "header is damaged"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1 << 40,)}"), "header is damaged"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (9999999, 999999)}"), "not have 0"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1)}"), "does not have"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"cos"), "expected numbers"),
        (npy("{'descr': '<U4', 'fortran_order': False, 'shape': (1,)}", b"\0" * 16), "expected n"),
        (b"\x93NUMPY\x09\0", "version"),
        (b"PK\3\4 and no archive", "not a zip file"),
        (b"", "header of a MATLAB file"),
        (b"this is no kernel" * 20, "header of a MATLAB file"),
        (b"\0\0\0\0" * 40, "ends early|header|does not have"),
    ],
)
def test_what_is_no_array_is_refused_in_one_sentence(tmp_path, content, words):
    (tmp_path / "k.npy").write_bytes(content)
    with pytest.raises(ValueError, match=words) as refusal:
        read_arrays(tmp_path / "k.npy")
    text = str(refusal.value)
    assert "k.npy" in text
    assert "\n" not in text
    assert len(text) < 400


def test_an_archive_that_grows_without_bound_is_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(_bomb())
    with pytest.raises(ValueError, match="more than 256 MB"):
        read_arrays(tmp_path / "a.npz")


def test_a_sparse_matrix_says_what_to_do(tmp_path):
    matlab(tmp_path / "a.mat", {"k": scipy.sparse.csc_matrix(K)})
    with pytest.raises(ValueError, match=r"sparse matrix: save full\(K\)"):
        read_arrays(tmp_path / "a.mat")


@pytest.mark.parametrize("compressed", [False, True])
def test_a_matlab_file_cut_anywhere_is_refused_or_read(tmp_path, compressed):
    """Cuts at 177 and 200 bytes crashed the interpreter in another reader."""
    matlab(tmp_path / "a.mat", {"k": K}, do_compression=compressed)
    whole = (tmp_path / "a.mat").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut.mat").write_bytes(whole[:length])
        try:
            assert read_arrays(tmp_path / "cut.mat") == []  # nothing but the header
        except ValueError as error:
            assert "cut.mat is not a readable" in str(error)
