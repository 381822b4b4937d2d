"""Black and white where a file has them elsewhere than its type says."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from undegrade.files.levels import AS_TYPED, Levels, outside
from undegrade.files.picture import read_picture, write_picture

U16, F32 = np.dtype("uint16"), np.dtype("float32")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_samples_at_black_and_white_are_0_and_1(tmp_path: Path, dtype: str) -> None:
    samples = np.array([[20, 220, 120]], dtype)
    tifffile.imwrite(tmp_path / "a.tif", samples)
    picture = read_picture(tmp_path / "a.tif", levels=Levels(black=20.0, white=220.0))
    torch.testing.assert_close(picture.pixels.flatten(), torch.tensor([0.0, 1.0, 0.5]))
    write_picture(tmp_path / "b.tif", picture)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), samples)


def test_a_result_is_clipped_only_where_its_file_ends(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 1023]], np.uint16))
    picture = read_picture(tmp_path / "a.tif", levels=Levels(white=1023.0))
    write_picture(tmp_path / "b.tif", picture.with_pixels(torch.tensor([[[[-0.5, 2.0]]]])))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), [[0, 2046]])


def test_alpha_has_the_levels_of_its_type(tmp_path: Path) -> None:
    samples = np.array([[[10, 20, 30, 255], [40, 50, 60, 0]]], np.uint8)
    from PIL import Image

    Image.fromarray(samples).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png", levels=Levels(white=60.0))
    assert picture.alpha is not None
    assert picture.alpha.flatten().tolist() == [1.0, 0.0]
    write_picture(tmp_path / "b.png", picture)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.png")), samples)


def test_another_type_has_its_own_levels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 1023]], np.uint16))
    picture = read_picture(tmp_path / "a.tif", levels=Levels(white=1023.0))
    write_picture(tmp_path / "b.jpg", picture)
    assert read_picture(tmp_path / "b.jpg").pixels.max() > 0.9


@pytest.mark.parametrize(
    ("black", "white"), [(0.0, 0.0), (5.0, 2.0), (float("nan"), None), (0.0, float("inf"))]
)
def test_levels_that_make_no_range_are_refused(black: float, white: float | None) -> None:
    with pytest.raises(ValueError, match="white"):
        Levels(black=black, white=white)


def test_what_lies_outside_is_said() -> None:
    x = torch.tensor([[[[-0.25, 0.5, 0.75, 2.0]]]])
    said = outside(x, AS_TYPED, F32)
    assert said.startswith("50 % of the values lie outside of black (0) and white (1), from -0.25")
    assert "from -1 to 8;" in outside(x, Levels(white=4.0), F32)
    assert outside(x.clamp(0, 1), AS_TYPED, F32) == ""


def test_a_dark_picture_of_16_bits_may_have_another_white() -> None:
    counts = torch.tensor([[[[3.0, 900.0]]]]) / 65535
    assert "as in --white 1023" in outside(counts, AS_TYPED, U16)
    assert "as in --white 4095" in outside(counts * 2, AS_TYPED, U16)
    assert outside(counts * 30, AS_TYPED, U16) == ""
    assert outside(counts, Levels(white=65535.0), U16) == ""
