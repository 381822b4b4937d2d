"""What a notebook shows of a result and of a measurement."""

import re

import torch

import undegrade as ud


def _measurement(count: int = 1, channels: int = 3) -> ud.Measurement:
    x = torch.zeros(count, channels, 20, 30)
    x[..., 5:15, 8:20] = 0.8
    y = ud.Gaussian(0.1).sample(x, torch.Generator().manual_seed(0))
    return ud.Measurement(y, ud.Identity(), ud.Gaussian(0.1))


def test_a_measurement_shows_its_picture_and_its_noise() -> None:
    page = _measurement()._repr_html_()
    assert page.count("data:image/webp;base64,") == 1
    assert "1 × 3 × 20 × 30; Identity(); Gaussian, std 0.1" in page


def test_a_result_shows_before_and_after_status_iterations_and_weight() -> None:
    result = ud.Variational(weight=12.5, iterations=3).restore(_measurement())
    page = result._repr_html_()
    before, after = re.findall(r'src="(data:image/webp;base64,[^"]+)"', page)
    assert before != after
    assert '<input type="range"' in page
    assert f"{result.status[0].value}; {result.iterations[0]} iterations; weight 12.5" in page


def test_what_began_in_another_size_is_enlarged() -> None:
    measurement = _measurement()
    blur = ud.Downsample(2)
    result = ud.Variational(weight=12.5, iterations=2).restore(
        ud.Measurement(measurement.y[..., ::2, ::2], blur, measurement.likelihood)
    )
    assert "aspect-ratio:30 / 20" in result._repr_html_()


def test_a_batch_shows_its_first_images_and_a_vector_its_words() -> None:
    result = ud.Quadratic(weight=12.5, iterations=2).restore(_measurement(count=6))
    assert result._repr_html_().count("<figure>") == 4
    many = ud.Quadratic(weight=12.5, iterations=2).restore(_measurement(channels=5))
    assert "data:" not in many._repr_html_()
    assert "weight 12.5" in many._repr_html_()
