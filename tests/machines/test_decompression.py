"""JPEG files for methods that remove noise: their error, their intervals, and what it gives."""

import pytest
import torch
from skimage import data
from torch import Tensor

import undegrade as ud
from undegrade.degradations.jpeg import Jpeg
from undegrade.machines.decompression import decompression


def picture(channels: int) -> Tensor:
    photo = torch.from_numpy(data.astronaut()).permute(2, 0, 1).float()[None] / 255
    x = photo[..., 40:136, 150:238]
    return x if channels == 3 else x.mean(1, keepdim=True)


def compressed(x: Tensor, quality: int) -> ud.Measurement:
    known = ud.Degradation(shape=tuple(x.shape[1:]), jpeg=Jpeg.of_quality(quality))
    return known.measurement(known.degrade(x, torch.Generator()))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [10, 40])
def test_auto_is_above_the_file_and_total_variation(channels, quality):
    x = picture(channels)
    measured = compressed(x, quality)
    file = ud.psnr(measured.operator.initial(measured.y), x)
    assert ud.Automatic().choose(measured).name == "learned"
    assert ud.psnr(ud.Automatic().restore(measured).x, x) > file + 0.45
    assert ud.psnr(ud.Variational().restore(measured).x, x) < file + 0.45


@pytest.mark.parametrize("channels", [1, 3])
def test_the_error_of_the_file_is_told_by_its_coefficients(channels):
    x = picture(channels)
    file = decompression(compressed(x, 20))
    assert file is not None
    true = (file.decoded - x).square().mean((2, 3), keepdim=True).sqrt()
    assert file.std.shape == (1, channels, 1, 1)
    assert ((file.std / true).log().abs() < 0.3).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_what_the_file_allows_is_kept_and_anything_else_brought_there(channels):
    x = picture(channels)[..., :80]  # of whole blocks at half size too
    file = decompression(compressed(x, 20))
    assert file is not None
    noisy = x + 0.2 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    kept = file.within(noisy)
    off = (file.transform(kept) - file.y).abs() / file.noise.step
    assert off.max() <= 0.25 + 1e-3
    torch.testing.assert_close(file.within(kept), kept, rtol=0, atol=1e-5)


def test_a_blur_or_noise_before_compression_is_not_a_file_alone():
    x = picture(1)
    known = ud.Degradation(shape=tuple(x.shape[1:]), jpeg=Jpeg.of_quality(20))
    blurred = ud.Degradation(
        shape=tuple(x.shape[1:]), jpeg=Jpeg.of_quality(20), blur=ud.Blur(ud.gaussian_psf(1.0))
    )
    noisy = ud.Degradation(
        shape=tuple(x.shape[1:]), jpeg=Jpeg.of_quality(20), likelihood=ud.Gaussian(0.1)
    )
    y = known.degrade(x, torch.Generator())
    assert decompression(known.measurement(y)) is not None
    assert decompression(blurred.measurement(y)) is None
    assert decompression(noisy.measurement(y)) is None
