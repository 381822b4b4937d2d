"""The Wiener filter: what it is exact for, what it gains, what it refuses."""

import pytest
import torch
from torch import Tensor

from tests.cases import uniform
from undegrade.core.measurement import Measurement
from undegrade.core.operator import Operator
from undegrade.core.stopping import Status
from undegrade.kernels.formulas import gaussian_psf, motion_psf
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.poisson import Poisson
from undegrade.likelihoods.salt_and_pepper import SaltAndPepper
from undegrade.linear_algebra.probes import impulse_response
from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample
from undegrade.operators.identity import Identity
from undegrade.operators.mask import Mask
from undegrade.operators.padding import Boundary
from undegrade.restorers.wiener import Wiener


def amplitude(h: int, w: int) -> Tensor:
    """|f|^−1.5: a somewhat smooth natural picture, its mean apart."""
    rows, columns = torch.fft.fftfreq(h)[:, None], torch.fft.rfftfreq(w)
    return (rows**2 + columns**2).double().clamp(min=1 / max(h, w) ** 2) ** -0.75


def clouds(*shape: int, seed: int = 0) -> Tensor:
    """A periodic picture with a natural spectrum, mean about 0.5."""
    h, w = shape[-2:]
    noise = torch.fft.rfft2(uniform(*shape, seed=seed) - 0.5)
    field = torch.fft.irfft2(noise * amplitude(h, w), s=(h, w))
    return 0.5 + 0.15 * field / field.std()


def measured(operator: Operator, std: float, x: Tensor) -> Measurement:
    noise = Gaussian(std)
    return Measurement(noise.sample(operator(x), torch.Generator().manual_seed(0)), operator, noise)


def error(x: Tensor, truth: Tensor) -> Tensor:
    return (x - truth).flatten(1).norm(dim=1)


@pytest.mark.parametrize("boundary", ["periodic", "replicate", "reflect", "valid"])
def test_it_undoes_blur_at_every_boundary(boundary: Boundary):
    x = clouds(2, 3, 63, 80)
    m = measured(Blur(gaussian_psf(1.2, dtype=torch.float64), boundary), 0.005, x)
    result = Wiener().restore(m)
    assert result.x.shape == x.shape
    assert result.status == (Status.CONVERGED,) * 2
    frame = (..., slice(8, -8), slice(8, -8))
    start = m.operator.initial(m.y)
    assert (error(result.x[frame], x[frame]) < 0.75 * error(start[frame], x[frame])).all()


def test_it_comes_close_to_the_filter_that_knows_the_spectrum():
    x, std = clouds(1, 1, 96, 80, seed=3), 0.02
    blur = Blur(gaussian_psf(1.5, dtype=torch.float64), "periodic")
    m = measured(blur, std, x)
    transfer = torch.fft.rfft2(impulse_response(blur, x, (96, 80)))
    shape = amplitude(96, 80).square()
    power = shape * (x.std() ** 2 / torch.fft.irfft2(shape, s=(96, 80))[0, 0])
    gain = transfer.conj() * power / (transfer.abs().square() * power + std**2)
    oracle = 0.5 + torch.fft.irfft2(gain * torch.fft.rfft2(m.y - 0.5), s=(96, 80))
    assert error(Wiener().restore(m).x, x) < 1.1 * error(oracle, x)


def test_it_takes_noise_away():
    x = clouds(1, 3, 64, 64)
    m = measured(Identity(), 0.1, x)
    assert error(Wiener().restore(m).x, x) < 0.4 * error(m.y, x)


@pytest.mark.parametrize("seed", range(8))
def test_a_color_component_that_is_not_there(seed: int):
    """One channel is the mean of the others: rounding alone is left of a principal component."""
    x = uniform(1, 2, 20, 16, seed=seed).float().cumsum(-1) / 16
    y = torch.cat((x, x.mean(1, keepdim=True)), 1)
    result = Wiener().restore(Measurement(y, Identity(), Gaussian(0.1)))
    assert Status.DIVERGED not in result.status
    assert result.state.residual.isfinite().all()
    assert ((result.x - y).square().mean((-1, -2)) < 0.1**2).all()


def test_without_noise_and_blur_nothing_changes():
    x = clouds(2, 1, 33, 40)
    m = Measurement(x, Identity(), Gaussian(1e-5))
    torch.testing.assert_close(Wiener().restore(m).x, x, rtol=0, atol=1e-4)


def test_a_kernel_off_its_center_moves_nothing():
    """The response to a point knows where the kernel puts it."""
    psf = torch.zeros(5, 5, dtype=torch.float64)
    psf[0, 1] = 1
    x = clouds(1, 1, 48, 40)
    result = Wiener().restore(measured(Blur(psf, "periodic"), 1e-4, x))
    torch.testing.assert_close(result.x[..., 8:-8, 8:-8], x[..., 8:-8, 8:-8], rtol=0, atol=0.02)


def test_one_image_never_depends_on_its_neighbors():
    x = clouds(2, 3, 40, 48)
    psf = torch.stack((gaussian_psf(0.7, size=9), gaussian_psf((2.0, 0.5), size=9, angle=30.0)))
    psf = psf.double()[:, None]
    noise = Gaussian(torch.tensor([0.01, 0.1]).double())
    y = noise.sample(Blur(psf)(x), torch.Generator().manual_seed(0))
    together = Wiener().restore(Measurement(y, Blur(psf), noise)).x
    for i, std in enumerate((0.01, 0.1)):
        rows = slice(i, i + 1)
        alone = Wiener().restore(Measurement(y[rows], Blur(psf[rows]), Gaussian(std))).x
        torch.testing.assert_close(together[rows], alone, rtol=1e-6, atol=1e-6)


def test_counts_are_noise_of_their_mean_level():
    x = clouds(1, 3, 64, 64).clamp(0.05, 1)
    noise = Poisson(50.0)
    y = noise.sample(x, torch.Generator().manual_seed(0))
    assert error(Wiener().restore(Measurement(y, Identity(), noise)).x, x) < 0.5 * error(y, x)


def test_what_is_no_number_is_reported():
    y = clouds(2, 3, 16, 16)
    y[1, 0, 3, 3] = torch.nan
    result = Wiener().restore(Measurement(y, Identity(), Gaussian(0.1)))
    assert result.status == (Status.CONVERGED, Status.DIVERGED)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 3, 1, 7), (1, 1, 5, 2)])
def test_pictures_of_a_few_pixels(shape: tuple[int, ...]):
    m = Measurement(uniform(*shape), Identity(), Gaussian(0.05))
    assert torch.isfinite(Wiener().restore(m).x).all()


@pytest.mark.parametrize("operator", [Mask(uniform(32, 32) > 0.5), Downsample(2)])
def test_other_degradations_are_refused_with_advice(operator: Operator):
    with pytest.raises(ValueError, match="use the variational or the quadratic method"):
        Wiener().restore(measured(operator, 0.1, clouds(1, 3, 32, 32)))


def test_lost_entries_are_filled_in():
    x, noise = clouds(1, 3, 32, 32), SaltAndPepper(0.3, std=0.02)
    y = noise.sample(x, torch.Generator().manual_seed(0))
    assert error(Wiener().restore(Measurement(y, Identity(), noise)).x, x) < 0.25 * error(y, x)


@pytest.mark.parametrize("boundary", ["zero", "replicate", "periodic"])
def test_kernels_with_zeros_ring_at_no_border(boundary: Boundary):
    """An oblique motion: a plain division makes 10 dB of it."""
    x = clouds(1, 1, 63, 80)
    x = torch.where(x > 0.5, x, 0.6 * x)
    m = measured(Blur(motion_psf(9.0, 30.0, dtype=torch.float64), boundary), 0.003, x)
    result = Wiener().restore(m)
    assert error(result.x, x) < 0.5 * error(m.operator.initial(m.y), x)
    if boundary == "periodic":
        assert result.iterations == (1,)  # exact at once


def test_the_impulse_response_is_the_kernel():
    psf = uniform(3, 3, 5)
    kernel = impulse_response(Blur(psf, "valid"), clouds(2, 3, 20, 21), (24, 25))
    rolled = kernel.roll((1, 2), (-2, -1))
    torch.testing.assert_close(rolled[..., :3, :5], psf.expand(2, 3, 3, 5))
    assert rolled[..., 3:, :].abs().amax() < 1e-12
