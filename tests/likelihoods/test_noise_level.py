"""The noise level of a picture that nobody measured."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from tests.cases import uniform
from undegrade.likelihoods import noise_level
from undegrade.likelihoods.noise_level import estimate_noise_std


def textured(h: int = 192, w: int = 176) -> torch.Tensor:
    """Half smooth, half fine stripes that plain differences take for noise."""
    rows, columns = torch.arange(h, dtype=torch.float64), torch.arange(w, dtype=torch.float64)
    smooth = 0.5 + 0.3 * torch.sin(rows[:, None] / 40 + columns / 50)
    stripes = 0.1 * torch.sin(2.2 * rows[:, None] + 1.7 * columns)
    return (smooth + stripes * (columns > w / 3)).expand(1, 3, h, w)


def noise(x: torch.Tensor) -> torch.Tensor:
    return torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("std", [0.01, 0.03, 0.1, 0.2])
@pytest.mark.parametrize("eight_bit", [False, True])
def test_it_is_right_within_eight_percent_in_spite_of_texture(std, eight_bit):
    y = textured() + std * noise(textured())
    y = (y.clamp(0, 1) * 255).round() / 255 if eight_bit else y
    assert float(estimate_noise_std(y)) == pytest.approx(std, rel=0.08)


def test_every_image_has_its_own_level():
    x = textured().expand(3, 3, 192, 176)
    std = torch.tensor([0.02, 0.05, 0.1], dtype=x.dtype)
    y = x + std[:, None, None, None] * noise(x)
    together = estimate_noise_std(y)
    torch.testing.assert_close(together, torch.cat([estimate_noise_std(s[None]) for s in y]))
    torch.testing.assert_close(together, std, rtol=0.05, atol=0)


@pytest.mark.parametrize("size", [(1, 400), (400, 1), (20, 20), (3, 3), (33, 47)])
def test_small_pictures_and_signals_have_one_too(size):
    y = 0.5 + 0.1 * noise(torch.zeros(1, 1, *size, dtype=torch.float64))
    estimate = float(estimate_noise_std(y))
    assert estimate == pytest.approx(0.1, rel=0.25) or size == (3, 3)
    assert 0 <= estimate < 1


def test_lost_pixels_do_not_count():
    observed = uniform(192, 176) > 0.5
    y = (0.5 + 0.05 * noise(textured())) * observed
    estimate = float(estimate_noise_std(y, observed))
    assert estimate == pytest.approx(0.05, rel=0.05)


def test_too_few_seen_pixels_are_refused():
    with pytest.raises(ValueError, match="give the noise level"):
        estimate_noise_std(uniform(1, 1, 32, 32), uniform(32, 32) > 0.95)


def test_lost_entries_do_not_count_whatever_they_hold():
    y = textured() + 0.05 * noise(textured())
    observed = torch.ones(192, 176, dtype=torch.bool)
    observed[20:60, 30:90] = False
    expected = estimate_noise_std(y, observed)
    assert float(expected) == pytest.approx(0.05, rel=0.08)
    for value in (torch.nan, torch.inf, 5.0, 0.0):
        torch.testing.assert_close(estimate_noise_std(y.where(observed, value), observed), expected)
    torch.testing.assert_close(estimate_noise_std(y.where(observed, torch.nan)), expected)


def barred(y: torch.Tensor) -> torch.Tensor:
    y = y.clone()
    y[..., :35, :], y[..., -60:, :] = 0.0, 0.0
    return y


def mounted(y: torch.Tensor) -> torch.Tensor:
    frame = torch.full_like(y, 0.5)
    frame[..., 30:-30, 27:-27] = y[..., 30:-30, 27:-27]
    return frame


def cut_out(y: torch.Tensor) -> torch.Tensor:
    rows, columns = torch.linspace(-1, 1, 192)[:, None], torch.linspace(-1, 1, 176)
    return torch.where(rows**2 + columns**2 < 1, y, 1.0)


@pytest.mark.parametrize("damage", [barred, mounted, cut_out])
@pytest.mark.parametrize("low", [0, 16])  # 16: black as video has it
def test_areas_that_are_constant_do_not_count(damage, low):
    y = low / 255 + (1 - low / 255) * damage((textured() + 0.06 * noise(textured())).clamp(0, 1))
    y = (y * 255).round() / 255
    assert float(estimate_noise_std(y)) == pytest.approx(0.06 * (1 - low / 255), rel=0.08)


def test_the_level_scales_with_the_picture():
    y = textured() + 0.06 * noise(textured())
    expected = float(estimate_noise_std(y))
    assert float(estimate_noise_std(4095 * y - 200)) == pytest.approx(4095 * expected, rel=1e-6)


def jpeg(y: torch.Tensor, quality: int) -> torch.Tensor:
    file, pixels = io.BytesIO(), (y[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte()
    Image.fromarray(pixels.numpy()).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None] / 255


def enlarged(y: torch.Tensor) -> torch.Tensor:
    return interpolate(y, scale_factor=1.5, mode="bicubic", align_corners=False)


def demosaicked(y: torch.Tensor) -> torch.Tensor:
    """From one color per pixel, the others interpolated linearly."""
    seen = torch.zeros_like(y)
    seen[:, 0, ::2, ::2], seen[:, 2, 1::2, 1::2] = 1, 1
    seen[:, 1, ::2, 1::2], seen[:, 1, 1::2, ::2] = 1, 1
    tent = torch.tensor([0.5, 1, 0.5], dtype=y.dtype)
    kernel = (tent[:, None] * tent).expand(3, 1, 3, 3)
    filled, reach = (
        torch.nn.functional.conv2d(part, kernel, padding=1, groups=3) for part in (seen * y, seen)
    )
    return filled / reach


@pytest.mark.parametrize(
    "change",
    [lambda y: jpeg(y, 92), lambda y: jpeg(y, 60), enlarged, demosaicked],
    ids=["jpeg 92", "jpeg 60", "enlarged", "demosaicked"],
)
def test_noise_that_is_coarser_than_a_pixel_is_not_missed(change):
    """What is left of it in the middle of the spectrum is between a half and one and a half."""
    y = change(textured() + 0.06 * noise(textured()))
    assert 0.03 < float(estimate_noise_std(y)) < 0.09


@pytest.mark.parametrize("quality", [60, 92, None])
def test_texture_is_not_taken_for_noise(quality):
    x = textured() if quality is None else jpeg(textured(), quality)
    assert float(estimate_noise_std(x)) < 0.01


def test_a_flat_picture_has_no_noise():
    assert float(estimate_noise_std(torch.full((1, 3, 200, 200), 0.3))) < 1e-6


def test_a_large_picture_is_looked_at_in_bands(monkeypatch) -> None:
    """The level is that of the whole, from a fraction of the rows."""
    monkeypatch.setattr(noise_level, "_ENOUGH", 600 * 400)
    monkeypatch.setattr(noise_level, "_BAND", 128)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 1, 20, 5, generator=generator).repeat_interleave(80, 2)
    y = x.repeat_interleave(80, 3) + 0.05 * torch.randn(1, 1, 1600, 400, generator=generator)
    bands, seen = noise_level._in_bands(y[0], y[0] < 9)
    assert bands.shape == seen.shape == (1, 4 * 128, 400)
    assert (~seen).sum() == 3 * 400
    assert estimate_noise_std(y).item() == pytest.approx(0.05, rel=0.04)
    lost = torch.where(torch.rand(y.shape, generator=generator) < 0.02, torch.nan, y)
    assert estimate_noise_std(lost).item() == pytest.approx(0.05, rel=0.06)
