"""Pictures as people have them: each right, or refused in one sentence that says what to do."""

import io
import logging
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms, PngImagePlugin

from undegrade.files.codecs import Form
from undegrade.files.picture import read_image, read_picture, write_image, write_picture

DRAW = np.random.default_rng(0)
GRAY8 = DRAW.integers(0, 256, (40, 50), dtype=np.uint8)
RGB8 = DRAW.integers(0, 256, (40, 50, 3), dtype=np.uint8)
GRAY16 = DRAW.integers(0, 65536, (40, 50), dtype=np.uint16)
RGB16 = DRAW.integers(0, 65536, (40, 50, 3), dtype=np.uint16)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'


def levels(path: Path, largest: int) -> np.ndarray:
    return (read_image(path)[0].double() * largest).round().permute(1, 2, 0).numpy().squeeze()


def refused(path: Path, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        read_picture(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.parametrize(
    ("samples", "options"),
    [
        (GRAY16, {"photometric": "minisblack", "tile": (16, 16)}),
        (GRAY16, {"photometric": "minisblack", "byteorder": ">", "compression": "zlib"}),
        (GRAY16, {"photometric": "minisblack", "bigtiff": True}),
        (RGB16, {"photometric": "rgb", "tile": (16, 16), "compression": "zlib"}),
        (RGB16, {"photometric": "rgb", "byteorder": ">"}),
        (RGB16, {"photometric": "rgb", "compression": "zlib", "predictor": True}),
        (RGB8, {"photometric": "rgb", "tile": (16, 16)}),
        (RGB8, {"photometric": "rgb", "byteorder": ">", "compression": "zlib"}),
        (RGB8, {"photometric": "rgb", "bigtiff": True}),
    ],
)
def test_tiffs_however_they_are_stored(tmp_path, samples, options):
    tifffile.imwrite(tmp_path / "a.tif", samples, **options)
    largest = np.iinfo(samples.dtype).max
    np.testing.assert_array_equal(levels(tmp_path / "a.tif", largest), samples)


@pytest.mark.parametrize("samples", [RGB8, RGB16])
def test_planar_tiffs(tmp_path, samples):
    planes = np.moveaxis(samples, 2, 0)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(levels(tmp_path / "a.tif", np.iinfo(samples.dtype).max), samples)


@pytest.mark.parametrize("samples", [GRAY8, GRAY16])
def test_where_white_is_zero(tmp_path, samples):
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="miniswhite")
    largest = np.iinfo(samples.dtype).max
    np.testing.assert_array_equal(levels(tmp_path / "a.tif", largest), largest - samples)


@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg", "packbits", "tiff_adobe_deflate"])
def test_compressions_of_eight_bits(tmp_path, compression):
    smooth = Image.fromarray(RGB8).resize((64, 64), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "a.tif", compression=compression)
    error = levels(tmp_path / "a.tif", 255) - np.asarray(smooth).astype(float)
    assert np.abs(error).mean() < (20 if compression == "jpeg" else 1e-6)


def test_colors_multiplied_by_alpha_are_divided(tmp_path):
    alpha = np.full((40, 50, 1), 32768, np.uint16)
    multiplied = (RGB16 * (32768 / 65535)).round().astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif", np.concatenate((multiplied, alpha), 2), photometric="rgb",
        planarconfig="contig", extrasamples=["assocalpha"],
    )  # fmt: skip
    assert np.abs(levels(tmp_path / "a.tif", 65535) - RGB16).max() <= 2


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("bands", [3, 5])
def test_many_bands_are_refused(tmp_path, dtype, bands):
    samples = np.zeros((9, 8, bands), dtype)
    tifffile.imwrite(
        tmp_path / "a.tif", samples, photometric="minisblack", planarconfig="contig",
    )  # fmt: skip
    refused(tmp_path / "a.tif", f"it has {bands} bands, .* save the bands")


def test_a_file_without_a_picture_is_refused(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0" + bytes(4))
    refused(tmp_path / "a.tif", "it holds no picture")


def test_several_pictures_are_refused(tmp_path):
    stack = np.zeros((3, 9, 8), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True)
    tifffile.imwrite(tmp_path / "b.tif", stack, photometric="minisblack")
    tifffile.imwrite(tmp_path / "c.tif", stack, volumetric=True, photometric="minisblack")
    for name in "abc":
        refused(tmp_path / f"{name}.tif", "several pictures, expected one: save each")


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint32", "complex64"])
def test_samples_that_have_no_white_are_refused(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 8), dtype), photometric="minisblack")
    refused(tmp_path / "a.tif", "save it as 32-bit floating point|not supported")


def test_what_needs_codecs_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    tifffile.imwrite(tmp_path / "a.tif", RGB16, photometric="rgb")
    data = (tmp_path / "a.tif").read_bytes()
    entry = struct.pack("<HHI", 259, 3, 1)
    (tmp_path / "a.tif").write_bytes(data.replace(entry + b"\1\0", entry + b"\5\0"))
    refused(tmp_path / "a.tif", r"LZW.*pip install 'undegrade\[codecs\]'; or save it")


def test_nothing_is_logged(tmp_path, caplog):
    tifffile.imwrite(tmp_path / "a.tif", GRAY16)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[-2000] ^= 255
    data[4:8] = struct.pack("<I", 9)
    (tmp_path / "a.tif").write_bytes(data)
    with caplog.at_level(logging.DEBUG), pytest.raises(ValueError, match=r"a\.tif"):
        read_picture(tmp_path / "a.tif")
    assert not [record for record in caplog.records if record.name == "tifffile"]


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_deep_pngs_with_alpha(tmp_path, mode):
    channels = len(mode) - 1
    x, alpha = torch.rand(1, channels, 9, 8), torch.rand(1, 1, 9, 8)
    write_image(tmp_path / "a.png", x, dtype="uint16")
    picture = read_picture(tmp_path / "a.png")
    write_picture(tmp_path / "b.png", type(picture)(picture.pixels, alpha, picture.form))
    again = read_picture(tmp_path / "b.png")
    assert again.form.dtype == "uint16"
    torch.testing.assert_close(again.pixels, picture.pixels)
    torch.testing.assert_close(again.alpha, alpha, atol=1e-5, rtol=0)


def test_a_color_key_of_a_deep_gray_png(tmp_path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 2, 1, 16, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" + struct.pack(">HH", 1000, 2000))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"tRNS", struct.pack(">H", 2000))
    (tmp_path / "a.png").write_bytes(data + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))
    picture = read_picture(tmp_path / "a.png")
    assert picture.alpha is not None
    assert picture.alpha.flatten().tolist() == [1, 0]
    assert (picture.pixels.flatten() * 65535).round().tolist() == [1000, 2000]


def test_a_palette_with_transparency(tmp_path):
    image = Image.fromarray(np.concatenate((RGB8, GRAY8[:, :, None]), 2)).quantize(20)
    image.save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    expected = np.asarray(image.convert("RGBA"))
    np.testing.assert_array_equal(levels(tmp_path / "a.png", 255), expected[:, :, :3])
    assert picture.alpha is not None
    assert picture.form.palette


def test_a_picture_of_inks_comes_back_on_screen(tmp_path):
    inks = Image.fromarray(RGB8).convert("CMYK")
    inks.save(tmp_path / "plain.jpg", quality=100)
    np.testing.assert_allclose(
        levels(tmp_path / "plain.jpg", 255), np.asarray(inks.convert("RGB")), atol=40
    )
    screen = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    inks.save(tmp_path / "wrong.jpg", icc_profile=screen)
    refused(tmp_path / "wrong.jpg", "CMYK profile is damaged: convert it to RGB first")
    assert read_picture(tmp_path / "plain.jpg").form.metadata.profile is None


@pytest.mark.parametrize("target", ["b.jpg", "b.png", "b.tif", "b.webp", "deep.png", "deep.tif"])
@pytest.mark.parametrize("source", ["a.jpg", "a.png", "a.tif", "a.webp"])
def test_what_the_file_says_goes_along(tmp_path, source, target):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x0112] = 6
    exif[0x8769] = {0x829A: (1, 250), 0x9003: "2026:01:02 03:04:05"}
    if source == "a.tif":
        exif[700] = XMP
    options = {"exif": exif.tobytes(), "dpi": (300, 300), "xmp": XMP}
    if source == "a.png":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
    Image.fromarray(RGB8).save(tmp_path / source, **options)
    picture = read_picture(tmp_path / source)
    if target.startswith("deep"):
        form = Form(picture.form.format, metadata=picture.form.metadata)
        form = Form("PNG" if target.endswith("png") else "TIFF", "uint16", metadata=form.metadata)
        picture = type(picture)(picture.pixels, None, form)
    write_picture(tmp_path / target, picture)
    assert read_picture(tmp_path / target).form.metadata.xmp == XMP
    with Image.open(tmp_path / target) if target != "deep.tif" else io.BytesIO() as image:
        if target != "deep.tif":
            assert image.getexif().get(0x010F) == "Maker"
            assert image.getexif().get_ifd(0x8769)[0x9003] == "2026:01:02 03:04:05"
            assert image.getexif().get(0x0112, 1) == 1
            if "webp" not in source + target:
                assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_the_size_of_a_pixel_stays(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", RGB16[:, :, 0].copy(), imagej=True, resolution=(4.5, 4.5),
        metadata={"unit": "um"},
    )  # fmt: skip
    tifffile.imwrite(
        tmp_path / "b.ome.tif", GRAY16, ome=True, metadata={"PhysicalSizeX": 0.25, "axes": "YX"},
    )  # fmt: skip
    for name in ("a.tif", "b.ome.tif"):
        write_picture(tmp_path / f"again-{name}", read_picture(tmp_path / name))
    with tifffile.TiffFile(tmp_path / "again-a.tif") as tiff:
        assert tiff.imagej_metadata is not None
        assert tiff.imagej_metadata["unit"] == "um"
        x, y = tiff.pages.first.tags["XResolution"].value
        assert x / y == pytest.approx(4.5)
    with tifffile.TiffFile(tmp_path / "again-b.ome.tif") as tiff:
        assert 'PhysicalSizeX="0.25"' in str(tiff.ome_metadata)


def test_large_pictures_are_read_where_they_are_allowed(tmp_path):
    write_image(tmp_path / "a.png", torch.rand(1, 1, 30, 40))
    tifffile.imwrite(tmp_path / "a.tif", RGB16)
    for name in ("a.png", "a.tif"):
        with pytest.raises(ValueError, match=r"too large|more than"):
            read_picture(tmp_path / name, largest=1000)
        read_picture(tmp_path / name, largest=2000)
    Image.new("1", (10_000, 10_000)).save(tmp_path / "b.png")
    assert read_picture(tmp_path / "b.png", largest=10**8).pixels.numel() == 10**8


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.NEF", b"II*\0", "camera raw file: develop it first"),
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1", "HEIC picture .* convert it"),
        ("a.jpg", b"\0\0\0\x18ftypmif1\0\0\0\0heic", "HEIC picture .* convert it"),
        ("a.avif", b"\0\0\0\x18ftypavif\0\0\0\0mif1", "AVIF picture: convert it"),
        ("a.psd", b"8BPS\0\1", "is not a picture in PNG, JPEG"),
    ],
)
def test_what_is_no_picture_yet_says_how_it_becomes_one(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content + bytes(100))
    refused(tmp_path / name, words)


def test_a_dng_is_not_its_thumbnail(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", RGB8, photometric="rgb", extratags=[(50706, "B", 4, b"\1\4\0\0", True)]
    )
    refused(tmp_path / "a.tif", r"raw file \(DNG\): develop it")


def test_turned_pictures_of_one_column_are_read(tmp_path):
    """Their strides were negative, which torch refuses without a file name."""
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        for size in ((1, 7), (7, 1), (1, 1)):
            Image.new("RGB", size).save(tmp_path / "a.png", exif=exif)
            assert read_image(tmp_path / "a.png").numel() == 3 * size[0] * size[1]


def test_a_damaged_block_of_exif_is_left_out(tmp_path):
    Image.fromarray(RGB8).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read_picture(tmp_path / "a.jpg").form.metadata.exif is None


def test_the_tiff_library_is_not_heard(tmp_path, capfd):
    Image.fromarray(RGB8).save(tmp_path / "a.tif", compression="tiff_lzw")
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[12:400] = bytes(388)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.tif"):
        read_picture(tmp_path / "a.tif")
    assert capfd.readouterr().err == ""
