"""Masks as people paint them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from undegrade.degradations.mask_file import read_mask

HOLE = np.zeros((40, 50), bool)
HOLE[10:16, 8:40] = True  # a tenth of the picture
PICTURE = torch.linspace(0.2, 0.8, 50).expand(1, 3, 40, 50)


def save(path: Path, gray: np.ndarray, mode: str = "L") -> str:
    Image.fromarray((255 * gray).round().astype(np.uint8)).convert(mode).save(path)
    return str(path)


def painted(seed: float | None = None) -> torch.Tensor:
    """The picture with the hole painted over in one color, or with noise in it."""
    hole = torch.from_numpy(HOLE)
    noise = torch.rand(PICTURE.shape, generator=torch.Generator().manual_seed(0))
    return torch.where(hole, noise if seed is None else seed, PICTURE)


@pytest.mark.parametrize("mode", ["L", "RGB", "1", "P"])
def test_what_is_black_is_lost(tmp_path: Path, mode: str) -> None:
    marked = read_mask(save(tmp_path / "m.png", 1.0 - HOLE, mode))
    np.testing.assert_array_equal(marked.observed.numpy(), ~HOLE)
    assert marked.notes == ()


def test_a_soft_edge_is_lost_and_a_dim_white_is_seen(tmp_path: Path) -> None:
    soft = 1.0 - HOLE
    soft[9], soft[16] = 0.8, 0.5
    marked = read_mask(save(tmp_path / "m.png", soft * 0.6))
    assert not marked.observed[9].any()
    assert not marked.observed[16].any()
    assert marked.observed[8].all()
    assert marked.observed[17].all()


def test_a_mask_grows(tmp_path: Path) -> None:
    marked = read_mask(save(tmp_path / "m.png", 1.0 - HOLE), grow=2)
    expected = np.zeros_like(HOLE)
    expected[8:18, 6:42] = True
    np.testing.assert_array_equal(marked.observed.numpy(), ~expected)


@pytest.mark.parametrize("y", [painted(1.0), painted(), PICTURE], ids=["filled", "noisy", "there"])
def test_white_on_black_is_seen_by_the_picture(tmp_path: Path, y: torch.Tensor) -> None:
    marked = read_mask(save(tmp_path / "m.png", 1.0 * HOLE), y)
    np.testing.assert_array_equal(marked.observed.numpy(), ~HOLE)
    assert "white marks what is lost: the picture goes on under the black 90%" in marked.notes[0]


def test_where_most_is_lost_indeed_that_is_said(tmp_path: Path) -> None:
    name, lost = save(tmp_path / "m.png", 1.0 * HOLE), torch.from_numpy(~HOLE)
    for fill in (0.0, torch.rand(PICTURE.shape, generator=torch.Generator().manual_seed(0))):
        marked = read_mask(name, torch.where(lost, fill, PICTURE))
        np.testing.assert_array_equal(marked.observed.numpy(), HOLE)
        assert "90% of the picture is marked as lost" in marked.notes[0]
        assert "--lost white" in marked.notes[0]


def test_what_was_said_is_not_guessed(tmp_path: Path) -> None:
    name = save(tmp_path / "m.png", 1.0 * HOLE)
    np.testing.assert_array_equal(read_mask(name, PICTURE, "black").observed.numpy(), HOLE)
    np.testing.assert_array_equal(read_mask(name, None, "white").observed.numpy(), ~HOLE)


def test_paint_on_a_transparent_layer_is_lost(tmp_path: Path) -> None:
    layer = np.zeros((40, 50, 4), np.uint8)
    layer[HOLE] = (255, 0, 0, 255)
    layer[9, 8:40] = (255, 0, 0, 40)  # a soft edge
    Image.fromarray(layer).save(tmp_path / "m.png")
    marked = read_mask(str(tmp_path / "m.png"), PICTURE)
    assert not marked.observed[9:16, 8:40].any()
    assert int((~marked.observed).sum()) == 7 * 32
    assert "painted" in marked.notes[0]


def test_an_opaque_layer_says_nothing(tmp_path: Path) -> None:
    marked = read_mask(save(tmp_path / "m.png", 1.0 - HOLE, "RGBA"))
    np.testing.assert_array_equal(marked.observed.numpy(), ~HOLE)


def test_a_mask_that_leaves_nothing_is_refused_and_one_that_takes_nothing_told(
    tmp_path: Path,
) -> None:
    with pytest.raises(ValueError, match="leaves nothing of the picture"):
        read_mask(save(tmp_path / "m.png", 0.0 * HOLE))
    assert "marks nothing" in read_mask(save(tmp_path / "m.png", 1 + 0.0 * HOLE)).notes[0]
