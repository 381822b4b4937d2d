import numpy as np
import pytest
import torch
from PIL import Image

from undegrade.training.pictures import Pictures, read_pictures, recolor


def ramp(h: int, w: int, base: int = 0) -> np.ndarray:
    """Every pixel tells where it is: red its row, green its column, blue the picture."""
    rows, columns = np.mgrid[:h, :w]
    return np.stack((rows, columns, np.full((h, w), base)), -1).astype(np.uint8)


def test_crops_are_turned_pieces_of_one_picture():
    pictures = Pictures([ramp(20, 31, 100), ramp(40, 13, 200)])
    x = (pictures.draw(64, 8, torch.Generator().manual_seed(0)) * 255).round().long()
    assert x.shape == (64, 3, 8, 8)
    turns = set()
    for crop in x:
        blue = next(c for c in crop if c.unique().numel() == 1)
        first, second = (c for c in crop if c is not blue and c.unique().numel() > 1)
        down = [(c.diff(dim=0) != 0).any() for c in (first, second)]
        assert sorted(map(bool, down)) == [False, True]
        for c in (first, second):
            assert torch.equal(c.unique(), torch.arange(int(c.min()), int(c.min()) + 8))
        turns.add((int(crop[0, 0, 0] < crop[0, -1, -1]), int(first[0, 0] < first[-1, -1])))
    assert len(turns) > 1


def test_all_pixels_can_be_drawn():
    pictures = Pictures([ramp(9, 10)])
    x = pictures.draw(400, 8, torch.Generator().manual_seed(0)) * 255
    assert x.max().round() == 9
    assert x.min() == 0


def test_the_generator_decides():
    pictures = Pictures([ramp(30, 30)], scales=(1.0, 0.5))
    draws = [pictures.draw(4, 8, torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_recolored_crops_are_of_the_same_places():
    """None, some or all of them; the rest of the draw does not depend on it."""
    plain, some, every = (
        Pictures([ramp(90, 90, 40)], recolored=share).draw(40, 8, torch.Generator().manual_seed(0))
        for share in (0.0, 0.5, 1.0)
    )
    changed = (some != plain).flatten(1).any(1)
    assert 0 < changed.sum() < len(changed)
    assert (every != plain).flatten(1).any(1).all()
    assert every.min() >= 0
    assert every.max() <= 1


def test_recoloring_exchanges_channels_and_stretches_contrast():
    generator = torch.Generator().manual_seed(0)
    x = 0.5 + 0.1 * (torch.rand(500, 3, 4, 4, generator=generator) - 0.5)  # nothing is cut
    y = recolor(x, generator)
    level = x.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(y.mean((1, 2, 3), keepdim=True), level)
    contrast = ((y - level).mean(1) / (x - level).mean(1)).median(1).values.median(1).values
    assert contrast.min() == pytest.approx(0.7, abs=0.02)
    assert contrast.max() == pytest.approx(1.6, abs=0.02)
    own, found = (c.sub(c.mean(1, keepdim=True)).flatten(2) for c in (x, y))
    related = torch.einsum("bin,bjn->bij", own, found)
    orders = related.argmax(2)
    assert len(orders.unique(dim=0)) == 6
    stretched = found.gather(1, orders[:, :, None].expand_as(found)) / own
    saturation = stretched.flatten(1).median(1).values / contrast
    assert saturation.min() == pytest.approx(0.5, abs=0.02)
    assert saturation.max() == pytest.approx(2.0, abs=0.04)


def test_gray_stays_gray_and_nothing_leaves_the_range():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(20, 3, 4, 4, generator=generator)
    assert recolor(x, generator).min() == 0
    assert recolor(x, generator).max() == 1
    y = recolor(x[:, :1].expand(-1, 3, -1, -1), generator)
    torch.testing.assert_close(y[:, :1].expand_as(y), y)


def test_small_pictures_are_left_out_until_none_is_left():
    pictures = Pictures([ramp(30, 30, 1), ramp(10, 10, 200)])
    x = pictures.draw(20, 16, torch.Generator().manual_seed(0))
    assert (x * 255).max() < 60
    with pytest.raises(ValueError, match="no picture is as large as the crop of 31×31"):
        pictures.draw(1, 31, torch.Generator())


def test_pictures_are_found_below_a_folder(tmp_path):
    (tmp_path / "sub").mkdir()
    Image.fromarray(ramp(5, 6)).save(tmp_path / "sub" / "a.png")
    Image.fromarray(ramp(5, 6)[..., 0]).save(tmp_path / "b.PNG")
    (tmp_path / "notes.txt").write_text("no picture")
    assert [p.shape for p in read_pictures([tmp_path])] == [(5, 6, 3), (5, 6, 3)]
    with pytest.raises(ValueError, match="no pictures in"):
        read_pictures([tmp_path / "absent"])
    with pytest.raises(ValueError, match="at least one picture"):
        Pictures([])


def test_pictures_are_read_as_everywhere(tmp_path):
    """16-bit gray is not white, and what EXIF turned is upright."""
    deep = np.full((5, 6), 32768, np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(ramp(5, 6)).save(tmp_path / "b.png", exif=exif)
    gray, turned = read_pictures([tmp_path])
    assert (gray == 128).all()
    assert turned.shape == (6, 5, 3)
    assert np.array_equal(turned, np.rot90(ramp(5, 6), -1))
    (tmp_path / "c.png").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"c.png is not a picture"):
        read_pictures([tmp_path])
