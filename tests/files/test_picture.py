"""Pictures keep their depth, mode, alpha and orientation from file to file."""

import io
import resource
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from undegrade.files.atomic import replacing
from undegrade.files.codecs import Form
from undegrade.files.metadata import Metadata
from undegrade.files.picture import (
    Picture,
    list_pictures,
    read_image,
    read_picture,
    write_image,
    write_picture,
)

FORMS = [
    ("gray.png", "L", "uint8"),
    ("rgb.png", "RGB", "uint8"),
    ("rgba.png", "RGBA", "uint8"),
    ("gray-alpha.png", "LA", "uint8"),
    ("palette.png", "P", "uint8"),
    ("gray.jpg", "L", "uint8"),
    ("rgb.jpeg", "RGB", "uint8"),
    ("gray.bmp", "L", "uint8"),
    ("rgb.bmp", "RGB", "uint8"),
    ("rgb.webp", "RGB", "uint8"),
    ("rgba.webp", "RGBA", "uint8"),
    ("gray.tif", "L", "uint8"),
    ("rgb.tiff", "RGB", "uint8"),
    ("rgba.tif", "RGBA", "uint8"),
    ("gray16.png", "I;16", "uint16"),
    ("gray16.tif", "I;16", "uint16"),
]


def _draw(mode: str, seed: int = 0, size: tuple[int, int] = (7, 10)) -> Image.Image:
    draw = np.random.default_rng(seed)
    if mode == "I;16":
        return Image.fromarray(draw.integers(0, 65536, size, dtype=np.uint16))
    if mode == "P":
        return _draw("RGB", seed, size).quantize(17)
    return Image.fromarray(draw.integers(0, 256, (*size, 4), dtype=np.uint8)).convert(mode)


@pytest.mark.parametrize(("name", "mode", "dtype"), FORMS)
def test_depth_and_mode_are_kept(tmp_path: Path, name: str, mode: str, dtype: str) -> None:
    _draw(mode).save(tmp_path / name)
    picture = read_picture(tmp_path / name)
    assert picture.form.dtype == dtype
    assert picture.pixels.dtype == torch.float32
    assert (picture.alpha is not None) == mode.endswith("A")
    copy = tmp_path / f"copy-{name}"
    write_picture(copy, picture)
    with Image.open(tmp_path / name) as before, Image.open(copy) as after:
        assert (after.mode, after.size, after.format) == (mode, before.size, before.format)
        if before.format != "JPEG":
            np.testing.assert_array_equal(
                np.asarray(after.convert("RGBA") if mode == "P" else after),
                np.asarray(before.convert("RGBA") if mode == "P" else before),
            )


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint16", "float16", "float32", "float64"])
def test_deep_tiffs_are_kept(tmp_path: Path, channels: int, dtype: str) -> None:
    draw = np.random.default_rng(1).random((9, 6, channels))
    samples = (draw * 65535 if dtype == "uint16" else draw).astype(dtype)
    tifffile.imwrite(
        tmp_path / "a.tif",
        samples.squeeze(),
        photometric="minisblack" if channels < 3 else "rgb",
        planarconfig=None if channels == 1 else "contig",
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        compression="zlib",
    )
    picture = read_picture(tmp_path / "a.tif")
    write_picture(tmp_path / "b.tif", picture)
    after = tifffile.imread(tmp_path / "b.tif")
    assert after.dtype == dtype
    assert (picture.alpha is not None) == (channels in (2, 4))
    np.testing.assert_allclose(after, samples.squeeze(), rtol=1e-6)


def test_a_planar_tiff_with_turned_pixels(tmp_path: Path) -> None:
    planes = np.random.default_rng(2).random((3, 5, 8)).astype(np.float32)
    tifffile.imwrite(
        tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate",
        extratags=[(0x0112, "H", 1, 6, True)],
    )  # fmt: skip
    turned = np.rot90(planes, -1, axes=(1, 2))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[0].numpy(), turned)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
def test_pictures_are_turned_upright(tmp_path: Path, orientation: int, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if name == "a.webp" else {}
    _draw("RGB").save(tmp_path / name, exif=exif, **options)
    with Image.open(tmp_path / name) as image:
        from PIL import ImageOps

        upright = np.asarray(ImageOps.exif_transpose(image))
    ours = (read_image(tmp_path / name)[0].permute(1, 2, 0) * 255).round().byte().numpy()
    np.testing.assert_array_equal(ours, upright)
    write_picture(tmp_path / f"again-{name}", read_picture(tmp_path / name))
    with Image.open(tmp_path / f"again-{name}") as image:
        assert image.getexif().get(0x0112, 1) == 1


def test_alpha_of_a_bmp_is_kept(tmp_path: Path) -> None:
    x, alpha = torch.rand(1, 3, 5, 4), torch.rand(1, 1, 5, 4)
    picture = read_picture_of(tmp_path / "a.png", x, alpha)
    write_picture(tmp_path / "a.bmp", picture)
    again = read_picture(tmp_path / "a.bmp")
    torch.testing.assert_close(again.pixels, picture.pixels)
    torch.testing.assert_close(again.alpha, picture.alpha)


def read_picture_of(path: Path, x: torch.Tensor, alpha: torch.Tensor) -> Picture:
    write_image(path, x)
    write_picture(path, Picture(x, alpha, read_picture(path).form))
    return read_picture(path)


def test_a_color_key_becomes_alpha(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 3), (9, 8, 7))
    image.putpixel((2, 1), (1, 2, 3))
    image.save(tmp_path / "a.png", transparency=(1, 2, 3))
    alpha = read_picture(tmp_path / "a.png").alpha
    assert alpha is not None
    assert alpha[0, 0, 1, 2] == 0
    assert alpha.sum() == 11


def test_a_color_profile_goes_along(tmp_path: Path) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    _draw("RGB").save(tmp_path / "a.png", icc_profile=profile)
    picture = read_picture(tmp_path / "a.png")
    deep = Picture(picture.pixels, None, Form("PNG", "uint16", metadata=Metadata(profile=profile)))
    for name, each in [("b.png", picture), ("c.jpg", picture), ("d.png", deep), ("e.tif", picture)]:
        write_picture(tmp_path / name, each)
        assert read_picture(tmp_path / name).form.metadata.profile == profile


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (8, 1)])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tif", "a.webp"])
def test_the_smallest_pictures(tmp_path: Path, size: tuple[int, int], name: str) -> None:
    x = torch.full((1, 3, *size), 0.2)
    write_image(tmp_path / name, x)
    torch.testing.assert_close(read_image(tmp_path / name), x, atol=0.01, rtol=0)


def test_writing_clips_and_rounds(tmp_path: Path) -> None:
    x = torch.tensor([-0.5, 0.0, 0.4990, 0.5010, 1.0, 7.0]).reshape(1, 1, 1, 6)
    write_image(tmp_path / "a.png", x)
    assert (read_image(tmp_path / "a.png") * 255).round().flatten().tolist() == [
        0, 0, 127, 128, 255, 255,
    ]  # fmt: skip
    write_image(tmp_path / "a.tif", x, dtype="float32")
    assert torch.equal(read_image(tmp_path / "a.tif"), x)


def test_the_nearest_form_that_a_suffix_allows(tmp_path: Path) -> None:
    write_image(tmp_path / "a.tif", torch.rand(1, 3, 4, 5), dtype="float32")
    deep = read_picture(tmp_path / "a.tif")
    write_picture(tmp_path / "a.png", deep)
    write_picture(tmp_path / "a.jpg", deep)
    assert read_picture(tmp_path / "a.png").form.dtype == "uint16"
    assert read_picture(tmp_path / "a.jpg").form.dtype == "uint8"


@pytest.mark.parametrize(
    ("size", "expected"), [((8, 12), "whole"), ((2, 3), "whole"), ((6, 8), "border")]
)
def test_alpha_follows_the_size(tmp_path: Path, size: tuple[int, int], expected: str) -> None:
    alpha = torch.zeros(1, 1, 4, 6)
    alpha[..., 3:] = 1
    picture = read_picture_of(tmp_path / "a.png", torch.rand(1, 3, 4, 6), alpha)
    after = picture.with_pixels(torch.rand(1, 3, *size)).alpha
    assert after is not None
    assert after.shape == (1, 1, *size)
    middle = size[1] // 2
    assert (after[..., 0] == 0).all()
    assert (after[..., -1] == 1).all()
    if expected == "border":
        assert (after[..., :middle] == 0).all()
        assert (after[..., middle:] == 1).all()


def _refused(path: Path, words: str) -> None:
    with pytest.raises((ValueError, OSError), match=words) as caught:
        read_picture(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def test_missing_empty_and_foreign_files(tmp_path: Path) -> None:
    _refused(tmp_path / "missing.png", "there is no file")
    (tmp_path / "empty.png").touch()
    _refused(tmp_path / "empty.png", "is empty")
    (tmp_path / "words.png").write_text("these are words, and no picture at all")
    _refused(tmp_path / "words.png", "is not a picture")
    _draw("P").save(tmp_path / "a.gif")
    _refused(tmp_path / "a.gif", "is not a picture")


@pytest.mark.parametrize(
    "name", ["a.png", "deep.png", "a.jpg", "a.bmp", "a.webp", "a.tif", "f.tif"]
)
def test_truncated_files(tmp_path: Path, name: str) -> None:
    dtype = {"deep.png": "uint16", "f.tif": "float32"}.get(name, "uint8")
    write_image(tmp_path / name, torch.rand(1, 3, 40, 50), dtype=dtype)
    whole = (tmp_path / name).read_bytes()
    for share in (0.02, 0.3, 0.6, 0.9):
        (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
        _refused(tmp_path / name, ".")


def test_a_flipped_bit_of_a_deep_png(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", torch.rand(1, 3, 9, 9), dtype="uint16")
    damaged = bytearray((tmp_path / "a.png").read_bytes())
    damaged[60] ^= 4
    (tmp_path / "a.png").write_bytes(damaged)
    _refused(tmp_path / "a.png", "checksum")


def test_bombs(tmp_path: Path) -> None:
    Image.new("1", (30_000, 30_000)).save(tmp_path / "bomb.png")
    _refused(tmp_path / "bomb.png", "too large")
    Image.new("1", (10_000, 10_000)).save(tmp_path / "warned.png")
    _refused(tmp_path / "warned.png", "too large")
    file = io.BytesIO()
    tifffile.imwrite(file, shape=(1, 1), dtype="float32")
    damaged = file.getvalue().replace(
        (256).to_bytes(2, "little") + (4).to_bytes(2, "little") + (1).to_bytes(4, "little") * 2,
        (256).to_bytes(2, "little") + (4).to_bytes(2, "little") + (1).to_bytes(4, "little")
        + (2**28).to_bytes(4, "little"),
    )  # fmt: skip
    (tmp_path / "bomb.tif").write_bytes(damaged)
    _refused(tmp_path / "bomb.tif", "more than")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_pixels_that_are_not_finite(tmp_path: Path, value: float) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0.1, value]], np.float32))
    _refused(tmp_path / "a.tif", "not finite")
    with pytest.raises(ValueError, match="NaN or infinite"):
        write_image(tmp_path / "b.png", torch.full((1, 1, 2, 2), value))
    assert not (tmp_path / "b.png").exists()


def test_unsupported_samples_and_several_pictures(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 4), np.int32))
    _refused(tmp_path / "a.tif", "int32")
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((2, 3, 4), np.float32), photometric="minisblack")
    _refused(tmp_path / "b.tif", "several pictures")
    frames = [_draw("RGB", seed) for seed in (0, 1)]
    frames[0].save(tmp_path / "c.webp", save_all=True, append_images=frames[1:])
    _refused(tmp_path / "c.webp", "several pictures")


def test_names_and_forms_that_cannot_be_written(tmp_path: Path) -> None:
    x = torch.rand(1, 3, 4, 4)
    with pytest.raises(ValueError, match=r"ends in one of \.png"):
        write_image(tmp_path / "a.xyz", x)
    with pytest.raises(ValueError, match="JPEG holds samples of uint8"):
        write_image(tmp_path / "a.jpg", x, dtype="uint16")
    with pytest.raises(ValueError, match="no alpha channel"):
        write_picture(
            tmp_path / "a.jpg", read_picture_of(tmp_path / "a.png", x, torch.rand(1, 1, 4, 4))
        )
    with pytest.raises(ValueError, match="one image of 1 or 3 channels"):
        write_image(tmp_path / "a.png", torch.rand(2, 3, 4, 4))
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", torch.zeros(1, 3, 8, 8))
    before = (tmp_path / "a.png").read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
    try:
        with pytest.raises(OSError, match=r"cannot write .*a\.png"):
            write_image(tmp_path / "a.png", torch.rand(1, 3, 99, 99))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (tmp_path / "a.png").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_pictures_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no picture in"):
        list_pictures(tmp_path)
    for name in ("b.PNG", "a.jpg", "b.PNG.json", "notes.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in list_pictures(tmp_path)] == ["a.jpg", "b.PNG"]
