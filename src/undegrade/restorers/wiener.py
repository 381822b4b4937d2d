"""The Wiener filter: the best linear restoration of a stationary image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, final

import torch
from torch import Tensor

from undegrade.core.image import Image, PerSample, dot, norm, per_sample, ratio, select
from undegrade.core.measurement import Measurement
from undegrade.core.operator import LinearOperator, Operator
from undegrade.core.ranges import COUNT, TOLERANCE, Range, check_ranges
from undegrade.core.solver import Observer, Result, solve
from undegrade.core.stopping import until
from undegrade.estimation.spectrum import image_spectrum
from undegrade.linear_algebra.conjugate_gradient import (
    SystemState,
    conjugate_gradient_step,
)
from undegrade.linear_algebra.probes import impulse_response, random_signs
from undegrade.linear_algebra.transform_sizes import fast_size
from undegrade.restorers.initial import complete, first_estimate

_MORE_NOISE = (10.0, 100.0, 1e3, 1e4)  # times the noise that there is
_LEAST = 1e-6  # power of a color component over that of the noise, where there is none of it


@final
@dataclass(frozen=True, kw_only=True)
class Wiener:
    """min ‖W(Ax − y)‖²/N + ⟨x, S⁻¹x⟩, S the covariance of the image and N the noise's variance.

    The best linear restoration of a stationary image. Where A is a periodic convolution of
    transfer function H, its solution is the division H̄S/(|H|²S + N), frequency by frequency, and
    found in one step. At other borders, and where W = 0 marks lost entries, that division, of a
    measurement continued smoothly past its border, is where conjugate gradients begin, and their
    preconditioner. S is a power law |f|^−β per color component, fitted to the measurement.

    For blur of any boundary, and for denoising. Edges ring and soften; `Variational` is better and
    slower.

    References:
        Wiener, Extrapolation, interpolation and smoothing of stationary time series (1949).
        Field, Relations between the statistics of natural images and the response properties of
        cortical cells (1987), for the power law.

    Good values:
        the defaults.

    Arguments:
        margin: by how many pixels at least opposite borders are kept apart.
        tolerance: how far from the solution the filter may stop, in units of what the noise leaves
            uncertain.
        iterations: most iterations, the division included.

    Raises:
        ValueError: the degradation is no convolution.
    """

    margin: Annotated[int, Range(0, 1000)] = 16
    tolerance: Annotated[float, TOLERANCE] = 0.05
    iterations: Annotated[int, COUNT] = 30

    def __post_init__(self) -> None:
        check_ranges(self)

    def restore(self, measurement: Measurement, *, observe: Sequence[Observer] = ()) -> Result[Any]:
        x0 = first_estimate(measurement)
        stop = until(iterations=self.iterations, residual=self.tolerance)
        return solve(_Filter(self.margin), measurement, x0, stop=stop, observe=observe)


@final
@dataclass(frozen=True)
class _Model:
    """What the filter knows, on a periodic grid with the picture in its first corner.

    Arguments:
        operator: A.
        trusted: W, 1 for entries of y that are seen, 0 for those that are lost.
        variance: N.
        rotation: principal components of color, (b c c).
        power: S, half of it as `rfft2` gives it.
        transfer: H.
        frame: rows and columns of the picture.
        grid: rows and columns of the periodic grid.
    """

    operator: LinearOperator
    trusted: Tensor
    variance: PerSample
    rotation: Tensor
    power: Tensor
    transfer: Tensor
    frame: tuple[int, int]
    grid: tuple[int, int]

    @property
    def exact(self) -> bool:
        """Whether the whole problem is periodic, but for lost entries."""
        return self.frame == self.grid

    def normal(self, x: Tensor) -> Tensor:
        """(AᵀWA + N S⁻¹) x; what lies beyond the frame is seen by nothing."""
        seen = self.trusted * self.operator(self.framed(x))
        ratio = per_sample(self.variance, x) / self.power
        return self.lifted(seen) + self._filtered(x, ratio)

    def lifted(self, y: Tensor) -> Tensor:
        """AᵀWy on the grid."""
        back = self.operator.adjoint(self.trusted * y)
        rows, columns = self.grid[0] - back.shape[-2], self.grid[1] - back.shape[-1]
        return torch.nn.functional.pad(back, (0, columns, 0, rows))

    def divided(self, y: Tensor, noise: PerSample) -> Tensor:
        """H̄S/(|H|²S + noise) y, of a measurement on the grid."""
        passed = self.transfer.conj() * self.power
        gain = passed / (self.transfer * passed + per_sample(noise, passed)).real
        return self._filtered(y, gain)

    def precondition(self, r: Tensor, noise: PerSample) -> Tensor:
        """(|H|² + noise/S)⁻¹ r."""
        inverse = self.power / (
            self.transfer.abs().square() * self.power + per_sample(noise, self.power)
        )
        return self._filtered(r, inverse)

    def framed(self, x: Tensor) -> Tensor:
        """The picture on the grid."""
        return x[..., : self.frame[0], : self.frame[1]]

    def _filtered(self, x: Tensor, gain: Tensor) -> Tensor:
        spectrum = gain * torch.fft.rfft2(_mixed(self.rotation, x))
        return _mixed(self.rotation.mT, torch.fft.irfft2(spectrum, s=self.grid))


class Filtered(NamedTuple):
    """A restored image, about how far from the solution in units of N, and what goes on."""

    x: Image
    residual: PerSample
    going: "_Going | None"


class _Going(NamedTuple):
    model: _Model
    noise: PerSample  # that the preconditioner takes for N
    state: SystemState

    def preconditioned(self, r: Tensor) -> Tensor:
        return self.model.precondition(r, self.noise)

    def filtered(self) -> Filtered:
        r, seen = self.state.r, self.model.trusted.flatten(1).sum(1)
        left = dot(r, self.preconditioned(r))
        residual = ratio(left, self.model.variance * seen).sqrt()
        return Filtered(self.model.framed(self.state.x), residual, self)


@final
@dataclass(frozen=True)
class _Filter:
    """The division, and conjugate gradients from there."""

    margin: int

    def init(self, problem: Measurement, x0: Image, near: Filtered | None = None) -> Filtered:
        del problem, near
        return Filtered(x0, x0.new_full((len(x0),), torch.inf), None)

    def step(self, problem: Measurement, state: Filtered) -> Filtered:
        if state.going is None:
            return _begun(problem, state.x, self.margin).filtered()
        going = state.going
        after = conjugate_gradient_step(going.model.normal, going.state, going.preconditioned)
        return going._replace(state=after).filtered()


def _begun(problem: Measurement, x0: Image, margin: int) -> _Going:
    """At the best division.

    What is not periodic is noise to a division, and a kernel's zeros amplify it: so it is tried
    for more noise too, and where the true objective is least, conjugate gradients begin.
    """
    y = complete(problem)
    model = _model(problem, y, x0, margin)
    wide = _continued(y, model.grid)
    lost = model.frame[0] - y.shape[-2], model.frame[1] - y.shape[-1]
    wide = wide.roll((lost[0] // 2, lost[1] // 2), (-2, -1))
    b, noise = model.lifted(y), model.variance
    x = model.divided(wide, noise)
    gradient = model.normal(x) - b
    least = dot(x, gradient - b)
    for factor in () if model.exact else _MORE_NOISE:
        tried = model.divided(wide, factor * model.variance)
        slope = model.normal(tried) - b
        value = dot(tried, slope - b)
        better = value < least
        x, gradient = select(better, tried, x), select(better, slope, gradient)
        noise = torch.where(better, factor * model.variance, noise)
        least = torch.minimum(value, least)
    return _Going(model, noise, SystemState.start(x, -gradient))


def _model(problem: Measurement, y: Tensor, x0: Image, margin: int) -> _Model:
    operator = problem.operator.as_linear("use the variational method")
    precision = problem.likelihood.noise.precision(problem.y)
    frame = x0.shape[-2], x0.shape[-1]
    wraps = _is_circulant(operator, x0)
    grid = frame if wraps else (_enough(frame[0], margin), _enough(frame[1], margin))
    kernel = _kernel(operator, x0, grid)
    variance, rotation = _mean_variance(precision), _components(y, kernel)
    pixels = _mixed(rotation, y)
    spectrum = torch.fft.rfft2(pixels, norm="ortho") if wraps else _windowed(pixels, grid)
    transfer = torch.fft.rfft2(kernel)
    power = image_spectrum(spectrum, transfer, variance, grid[1])
    power = power.maximum(_LEAST * per_sample(variance, power))
    trusted = (precision > 0).to(y)
    return _Model(operator, trusted, variance, rotation, power, transfer, frame, grid)


def _is_circulant(operator: LinearOperator, x: Image) -> bool:
    """Whether A is known to be a periodic convolution, and not just a multiple of the identity."""
    spectrum = None if operator.gram is None else operator.gram.spectrum(x)
    return spectrum is not None and spectrum[0, 0].numel() > 1


def _windowed(y: Tensor, grid: tuple[int, int]) -> Tensor:
    """The spectrum (ortho) of a stationary measurement, without what its borders would add.

    The mean stays: without it the lowest frequencies would seem to be missing.
    """
    rows, columns = (
        torch.hann_window(n + 1, dtype=y.dtype, device=y.device)[1:] if n > 2 else y.new_ones(n)
        for n in y.shape[-2:]
    )
    window = rows[:, None] * columns
    return torch.fft.rfft2(window * y, s=grid) / window.square().sum().sqrt()


def _kernel(operator: Operator, like: Image, size: tuple[int, int]) -> Tensor:
    """The kernel of an operator that is a convolution, on a periodic grid with its middle at 0.

    That it is one is tested by random signs in the middle of the frame, where no boundary matters;
    kernels reach at most a quarter of the frame.
    """
    b, c, h, w = like.shape
    test = torch.zeros_like(like)
    middle = test[..., h // 4 : h - h // 4, w // 4 : w - w // 4]
    middle.copy_(random_signs(middle, 0))
    seen = operator(test)
    lost = h - seen.shape[-2], w - seen.shape[-1]
    if seen.shape[:2] != (b, c) or min(lost) < 0 or lost[0] % 2 or lost[1] % 2:
        raise _refusal(operator)
    kernel = impulse_response(operator, like, size)
    transform = torch.fft.rfft2(kernel) * torch.fft.rfft2(test, s=size)
    expected = torch.fft.irfft2(transform, s=size)
    expected = expected[..., lost[0] // 2 : h - lost[0] // 2, lost[1] // 2 : w - lost[1] // 2]
    # a blur differs by the rounding of float32, anything else by a tenth and more
    if bool((norm(seen - expected) > 1e-3 * norm(seen)).any()):
        raise _refusal(operator)
    return kernel


def _refusal(operator: Operator) -> ValueError:
    return ValueError(
        f"the Wiener filter needs a blur or no operator at all, got {type(operator).__name__}; "
        "use the variational or the quadratic method"
    )


def _enough(n: int, margin: int) -> int:
    """A period that keeps opposite borders apart: by the margin, or an eighth of the picture."""
    return fast_size(n + 2 * max(margin, n // 8))


def _mixed(rotation: Tensor, x: Tensor) -> Tensor:
    return torch.einsum("bdc,bchw->bdhw", rotation, x)


def _components(y: Tensor, kernel: Tensor) -> Tensor:
    """Principal components of color, (b, c, c); the channels themselves where kernels differ."""
    pixels = (y - y.mean((-2, -1), keepdim=True)).flatten(2)
    covariance = (pixels @ pixels.mT).nan_to_num(0, 0, 0)
    axes = torch.linalg.eigh(covariance).eigenvectors.mT
    spread = (kernel - kernel[:, :1]).abs().flatten(1).amax(1)
    alike = spread <= 1e-5 * kernel.abs().flatten(1).amax(1)
    channels = torch.eye(y.shape[1], dtype=y.dtype, device=y.device)
    return torch.where(alike.reshape(-1, 1, 1), axes, channels)


def _continued(y: Tensor, size: tuple[int, int]) -> Tensor:
    """y in the corner of a periodic frame, mirrored and faded from each border to the next."""
    for dim, n in ((-2, size[0]), (-1, size[1])):
        y = _faded(y.movedim(dim, -1), n).movedim(-1, dim)
    return y


def _faded(y: Tensor, length: int) -> Tensor:
    n = y.shape[-1]
    gap = torch.arange(length - n, device=y.device)
    end = y[..., _mirrored(n + gap, n)]
    beginning = y[..., _mirrored(gap - len(gap), n)]
    phase = torch.pi * (gap + 0.5).to(y.dtype) / len(gap)
    return torch.cat((y, torch.lerp(beginning, end, 0.5 + 0.5 * phase.cos())), dim=-1)


def _mirrored(index: Tensor, n: int) -> Tensor:
    """Where a line of n pixels, mirrored again and again at its ends, has its index-th one."""
    folded = index.remainder(2 * n)
    return torch.minimum(folded, 2 * n - 1 - folded)


def _mean_variance(precision: Tensor) -> PerSample:
    """Of the entries that are seen."""
    seen = precision > 0
    total = torch.where(seen, precision.reciprocal(), 0).flatten(1).sum(1)
    return total / seen.flatten(1).sum(1).clamp(min=1)
