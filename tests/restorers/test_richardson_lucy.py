"""Richardson–Lucy and the methods that keep pixels from being negative: a field of stars."""

import pytest
import torch

import undegrade as ud
from undegrade.core.image import Image
from undegrade.core.measurement import Restorer

SIDE, SKY, PEAK = 32, 0.05, 2e4


def stars(size: int = SIDE) -> Image:
    """Points on black, some of them bright."""
    x = torch.zeros(1, 1, size, size)
    generator = torch.Generator().manual_seed(1)
    for row, column, u in torch.rand(8, 3, generator=generator).tolist():
        x[0, 0, int(6 + row * (size - 12)), int(6 + column * (size - 12))] = 0.5 + 8 * u**3
    return x


BLUR = ud.Blur(ud.gaussian_psf(1.5), "zero")


def night(peak: float = PEAK) -> ud.Measurement:
    """Photons of stars and sky, of which the sky was subtracted."""
    counts = ud.Poisson(peak).sample(BLUR(stars()) + SKY, torch.Generator().manual_seed(0))
    noise = ud.Gaussian((counts.clamp(min=SKY) / peak).sqrt())
    return ud.Measurement(counts - SKY, BLUR, noise)


def flux(x: Image) -> float:
    return float(x.sum() / stars().sum())


@pytest.mark.parametrize(
    "method",
    [
        ud.RichardsonLucy(),
        ud.Quadratic(weight=0.1, nonnegative=True),
        ud.Variational(weight=1.0, iterations=150, nonnegative=True),
    ],
)
def test_nothing_is_negative_and_the_light_is_kept(method: Restorer):
    measurement = night()
    assert measurement.y.min() < -0.002
    x = method.restore(measurement).x
    assert x.min() >= 0
    assert abs(flux(x) - 1) < 0.03


def test_stars_become_points_again():
    measurement = night()
    x = ud.RichardsonLucy().restore(measurement).x
    where = stars() > 0
    assert x[where].sum() / x.sum() > 3 * measurement.y[where].sum() / measurement.y.sum()


def test_it_stops_where_the_noise_explains_what_is_left():
    measurement = night(peak=500.0)
    result = ud.RichardsonLucy().restore(measurement)
    assert result.status == (ud.Status.CONVERGED,)
    misfit = (measurement.operator(result.x) - measurement.y) / measurement.likelihood.std
    assert 0.9 < misfit.square().mean().sqrt() <= 1.0


def test_every_step_is_likelier():
    noise = ud.Poisson(100.0)
    x = stars() + 0.1
    y = noise.sample(BLUR(x), torch.Generator().manual_seed(0))
    values = list[float]()

    def look(_: int, state: ud.State):
        values.append(float(noise(BLUR(state.x), y)))
        return {}

    method = ud.RichardsonLucy(iterations=12, tolerance=1e-9)
    method.restore(ud.Measurement(y, BLUR, noise), observe=(look,))
    assert len(values) == 12
    assert values == sorted(values, reverse=True)


def test_lost_entries_take_no_part():
    seen = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(2)) > 0.3
    operator, y = ud.Mask(seen) @ BLUR, night().y
    noise = ud.Gaussian(torch.where(seen, 0.01, torch.inf)[None, None])
    found = [
        ud.RichardsonLucy(background=0.1, iterations=20)
        .restore(ud.Measurement(torch.where(seen, y, junk), operator, noise))
        .x
        for junk in (0.0, 7.0, -3.0)
    ]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    assert found[0].isfinite().all()


def test_one_image_never_depends_on_its_neighbors():
    y = torch.cat([night().y, 0.3 * night().y])
    method = ud.RichardsonLucy(iterations=30)
    together = method.restore(ud.Measurement(y, BLUR, ud.Gaussian(0.01))).x
    alone = method.restore(ud.Measurement(y[1:], BLUR, ud.Gaussian(0.01))).x
    torch.testing.assert_close(together[1:], alone)


def test_laplace_noise_keeps_the_constraint_too():
    y = ud.Laplace(0.05).sample(stars(24).clamp(max=1), torch.Generator().manual_seed(0))
    noisy = ud.Measurement(y, ud.Identity(), ud.Laplace(0.05))
    assert ud.Variational(nonnegative=True, iterations=60, weight=20.0).restore(noisy).x.min() >= 0
