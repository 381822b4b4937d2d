"""Salt and pepper whose values are not 0 and 1."""

import pytest
import torch
from torch import Tensor

import undegrade as ud
from undegrade.likelihoods.impulses import at_random, impulses, stray


def picture() -> Tensor:
    """Smooth areas, an edge and a little noise, not black or white anywhere; rounded to 8 bits."""
    rows, columns = torch.meshgrid(torch.arange(96.0), torch.arange(120.0), indexing="ij")
    x = 0.45 + 0.25 * torch.sin(rows / 13) * torch.cos(columns / 17) + 0.2 * (columns > 60)
    noise = 0.01 * torch.randn(96, 120, generator=torch.Generator().manual_seed(1))
    return ((x + noise).expand(1, 3, 96, 120) * 255).round() / 255


U = torch.rand(1, 3, 96, 120, generator=torch.Generator().manual_seed(0))


def peppered(fraction: float, low: float | Tensor, high: float | Tensor) -> tuple[Tensor, Tensor]:
    y = torch.where(fraction / 2 > U, low, torch.where(fraction > U, high, picture()))
    return y, fraction > U


@pytest.mark.parametrize("fraction", [0.02, 0.1, 0.5])
@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (5 / 255, 250 / 255), (0.0, 4095 / 65535)], ids=str
)
def test_two_values_tell_all_that_is_lost(fraction: float, low: float, high: float) -> None:
    y, lost = peppered(fraction, low, high)
    found, told = impulses(y, torch.tensor(fraction))
    assert bool(told.all())
    assert torch.equal(found, lost)


def test_random_values_are_found_by_their_surroundings() -> None:
    values = torch.rand(U.shape, generator=torch.Generator().manual_seed(2))
    y, lost = peppered(0.01, values, values)
    found, told = impulses(y, torch.tensor(0.01))
    assert not bool(told.any())
    clear = lost & ((values - picture()).abs() > 0.15)
    assert float((found & clear).sum() / clear.sum()) > 0.95
    assert float(found.float().mean()) < 0.02


def test_the_black_and_white_of_a_bilevel_page_is_not_lost() -> None:
    page = (picture() > 0.5).float()
    y = torch.where(U[:, :1] < 0.04, 1 - page, page)
    found, _ = impulses(y, torch.tensor(0.04))
    assert float(found.float().mean()) < 0.1
    assert float(found[(U[:, :1] < 0.04).expand_as(y)].float().mean()) > 0.85


def test_what_compression_left_of_impulses_is_restored_as_noise_and_holes() -> None:
    y = peppered(0.05, 0.0, 1.0)[0]
    spread = torch.nn.functional.avg_pool2d(y, 3, 1, 1, count_include_pad=False)
    y = (0.85 * y + 0.15 * spread).clamp(0.02, 0.97)
    measurement = ud.Measurement(y, likelihood=ud.SaltAndPepper(0.05))
    assert float(measurement.likelihood.std) > 0.002
    restored = ud.RecurrentInference().restore(measurement).x
    assert float(ud.psnr(restored, picture())) > float(ud.psnr(y, picture())) + 8


def test_strays_are_counted_where_nothing_is_said() -> None:
    assert stray(picture()) < 1e-4
    assert stray(peppered(0.004, 0.0, 1.0)[0]) == pytest.approx(0.004, rel=0.2)


@pytest.mark.parametrize("fraction", [0.06, 0.3, 0.6, 0.9])
def test_black_and_white_at_random_tell_their_share(fraction: float) -> None:
    y = peppered(fraction, 0.0, 1.0)[0]
    assert float(at_random(y)) == pytest.approx(fraction, abs=0.01)
    pair = at_random(torch.cat((y, picture())))
    assert float(pair[0]) == pytest.approx(fraction, abs=0.01)
    assert float(pair[1]) == 0


def test_black_and_white_of_pictures_are_not_at_random() -> None:
    generator, x = torch.Generator().manual_seed(3), picture()
    clipped = (3 * x - 1).clamp(0, 1)
    noisy = [(x + s * torch.randn(x.shape, generator=generator)).clamp(0, 1) for s in (0.3, 0.8)]
    dithered = (torch.rand(x.shape, generator=generator) < x).float()
    for y in (clipped, *noisy, dithered, (x > 0.5).float(), torch.zeros_like(x)):
        assert float(at_random(y)) == 0


@pytest.mark.parametrize("std", [0.06, 0.1, 0.14])
def test_clipped_noise_of_a_picture_in_black_and_white_is_not_at_random(std: float) -> None:
    x = (picture() > 0.5).float() * 0.7 + 0.15
    y = (x + std * torch.randn(x.shape, generator=torch.Generator().manual_seed(3))).clamp(0, 1)
    assert float(at_random(y)) == 0
