"""PSNR and SSIM against scikit-image, and per sample."""

import numpy as np
import pytest
import torch
from skimage import metrics as theirs

from undegrade.metrics.distortion import psnr, ssim, without_border
from undegrade.metrics.luma import luma


def _pair(channels: int, size: tuple[int, int] = (24, 31)) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(channels)
    reference = torch.rand(2, channels, *size, generator=draw, dtype=torch.float64)
    noise = torch.randn(reference.shape, generator=draw, dtype=torch.float64)
    return reference + 0.2 * noise, reference


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_is_that_of_scikit_image_after_clipping(channels: int) -> None:
    x, reference = _pair(channels)
    expected = [
        theirs.peak_signal_noise_ratio(b.numpy(), a.clamp(0, 1).numpy(), data_range=1.0)
        for a, b in zip(x, reference, strict=True)
    ]
    np.testing.assert_allclose(psnr(x, reference).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(("channels", "size"), [(1, (24, 31)), (3, (24, 31)), (1, (530, 14))])
def test_ssim_is_that_of_scikit_image(channels: int, size: tuple[int, int]) -> None:
    x, reference = _pair(channels, size)  # the last one in bands
    expected = [
        theirs.structural_similarity(
            b.numpy(), a.clamp(0, 1).numpy(), data_range=1.0, channel_axis=0,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )
        for a, b in zip(x, reference, strict=True)
    ]  # fmt: skip
    np.testing.assert_allclose(ssim(x, reference).numpy(), expected, rtol=1e-9)


def test_identical_images() -> None:
    reference = _pair(3)[1]
    assert psnr(reference, reference).isinf().all()
    np.testing.assert_allclose(ssim(reference, reference).numpy(), 1.0)


def test_luma_of_black_white_and_gray() -> None:
    x = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 3, 2, 2)
    expected = torch.tensor([16.0, 235.0]) / 255
    torch.testing.assert_close(luma(x)[:, 0, 0, 0], expected)
    gray = torch.rand(1, 1, 3, 3)
    assert luma(gray) is gray


def test_without_border() -> None:
    x = torch.arange(35.0).reshape(1, 1, 5, 7)
    assert without_border(x, 0).shape == x.shape
    assert without_border(x, 2).flatten().tolist() == [16, 17, 18]
    with pytest.raises(ValueError, match="cut 3 pixels"):
        without_border(x, 3)


def test_what_is_refused() -> None:
    x, reference = _pair(3)
    with pytest.raises(ValueError, match="one shape"):
        psnr(x, reference[:1])
    with pytest.raises(ValueError, match="11×11"):
        ssim(x[..., :5], reference[..., :5])
