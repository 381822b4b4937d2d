"""A likelihood's quadratic model, which learned methods are shown, and the moves it asks for."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from undegrade.core.image import Image, PerSample, norm, per_sample, ratio, round_up
from undegrade.core.objective import Fidelity
from undegrade.core.operator import LinearOperator
from undegrade.learned.features import Estimate
from undegrade.linear_algebra.conjugate_gradient import conjugate_gradient
from undegrade.linear_algebra.probes import impulse_response, random_signs
from undegrade.linear_algebra.transform_sizes import fast_size, is_fast

FINEST = 1 / 510  # half a gray level of 8 bits: noise below it is taken for this much
_PERIODIC = 1e-3  # of AAᵀ times random signs: further off than this it is no periodic convolution
_ENOUGH = 1e-4  # of the residual: what conjugate gradients may leave, far below what is visible
_BAND = 3  # standard deviations by which an entry may be missed: 0.3 % of them are by chance
_BAND_ERROR = 0.03  # the error expected of a last estimate, for the move into the band
_BAND_FLOOR = 0.003  # smallest shift of the last moves, below which noise-free borders ring
_NO_MOVE = 1e6  # a shift that leaves a millionth of the move
CAREFUL = 10 / 255  # noise below which the detail and the grain of pictures are as strong
PROBE = 32  # period, in entries, of the signs by which noise is changed
_CHANGE = 0.5  # of the noise: more than what bfloat16 rounds by far
SURROUNDINGS = 31  # side, in entries, of what tells whether noise explains a residual
_NEIGHBORHOOD = 9  # side, in pixels, over which the noise level is averaged: wider than most blurs
_LITTLE_REACH = 1e-3  # where the neighborhood saw less than this, its noise level says nothing
_SMALLEST_REACH = 1e-6  # keeps the quotient finite there


@final
@dataclass(frozen=True)
class QuadraticModel:
    """−log p(y | x) ≈ ‖W(Ax − y)‖²/(2σ²): what is worked out once per measurement.

    Arguments:
        std: σ, standard deviation of the noise, per sample, in units of the image.
        trusted: W, 1 for entries of y that say something, 0 for those that are lost.
        spectrum: of AAᵀ, half of it as `rfft2` gives it, or (b c 1 1) where it is constant.
        grid: rows and columns that the spectrum is of, those of y or a few more.
        coverage: AᵀWA1, which pixels took part.
        noise_level: σ as a map, (b 1 h w).
    """

    std: PerSample
    trusted: Tensor
    spectrum: Tensor
    grid: tuple[int, int]
    coverage: Image
    noise_level: Float[Tensor, "b 1 h w"]

    @staticmethod
    def of(problem: Fidelity, x0: Image) -> "QuadraticModel":
        """The model of a measurement about x0; A is the Jacobian φ′(x0)."""
        A = problem.operator.linearize(x0)[1]
        std, trusted = noise(problem)
        coverage = A.adjoint(trusted * A(torch.ones_like(x0)))
        level = _level(A, problem, x0, std)
        # one entry of a Jacobian may be unlike all others: about a flat picture they are alike
        flat = x0.mean((-2, -1), keepdim=True).expand_as(x0)
        typical = A if problem.operator.linear else problem.operator.linearize(flat)[1]
        spectrum, grid = _spectrum(typical, problem.y)
        return QuadraticModel(std, trusted, spectrum, grid, coverage, level)

    def residual(self, problem: Fidelity, x: Image) -> tuple[Tensor, LinearOperator]:
        """W(y − φ(x)), and the Jacobian A there."""
        prediction, A = problem.operator.linearize(x)
        return self.trusted * (problem.y - prediction), A

    def step(self, A: LinearOperator, residual: Tensor, shift: Tensor, cg_iterations: int) -> Image:
        """AᵀW(WAAᵀW + shift)⁻¹ residual: what least squares, damped by `shift`, would change."""
        return A.adjoint(self.trusted * self.solve(A, residual, shift, cg_iterations))

    def solve(
        self, A: LinearOperator, residual: Tensor, shift: Tensor, cg_iterations: int
    ) -> Tensor:
        """(WAAᵀW + shift)⁻¹ residual, of a residual that is 0 where W is; shift per sample or map.

        By conjugate gradients, preconditioned by AAᵀ as if it were a periodic convolution: exact
        at once for identity, masks, periodic blurs and their decimations; for other boundaries a
        few iterations repair most of the frame, where plain ones would need tens.
        """
        kept = self.trusted
        shift = per_sample(shift, residual) if shift.ndim == 1 else shift
        if self.spectrum.shape[-2:] == (1, 1):
            return residual / (self.spectrum + shift)

        def normal(v: Tensor) -> Tensor:
            return kept * A.forward_adjoint(kept * v) + shift * v

        inverse, (h, w) = (self.spectrum + shift).reciprocal(), residual.shape[-2:]

        def divided(r: Tensor) -> Tensor:
            return _multiplied(r, inverse, self.grid)[..., :h, :w]

        return conjugate_gradient(
            normal, residual, tolerance=_ENOUGH, iterations=cg_iterations, precondition=divided
        ).x

    def within_noise(
        self, problem: Fidelity, x: Image, cg_iterations: int, estimate: Estimate | None = None
    ) -> Image:
        """x, moved to where no entry of y is missed by more than 3σ, nor many by more than noise.

        Where the measurement is nearly exact, a network's own rounding is the larger error; and it
        may take detail of a picture for noise. Where entries are missed by r > σ (rms), by more
        than chance, x has an error of τ = √((r² − σ²)/mean of AAᵀ) as far as A sees it, and a last
        move expects it: μ = σ²/τ². Where AAᵀ is a multiple of the identity that is asked around
        each pixel, elsewhere of the whole.

        For A = 1 it mixes x with y, 1 − σ²/r² of y. As long as the network had left a fraction c
        below half of the noise, the mean of squared errors is below that of y then:
        1 − (1 − 2c)σ²/r² of it. Where noise is little and there is nothing else, c is measured by
        what `estimate` makes of a y that is changed by random signs, and the mix is the best one,
        1 − (1 − c)σ²/r² of y (Stein's unbiased risk estimate).

        References:
            Ramani, Blu and Unser, Monte-Carlo SURE (2008).
        """
        residual, A = self.residual(problem, x)
        band = _BAND * per_sample(self.std, residual)
        missed = torch.minimum(torch.maximum(residual, -band), band)
        shift = (self.std / _BAND_ERROR).square().clamp(min=_BAND_FLOOR)
        moved = x + self.step(A, residual - missed, shift, cg_iterations)
        variance = _variance(problem, 0.0)[0]  # what is finer than the finest counts here
        if estimate is not None and self._careful:
            variance = variance * (1 - self._left(problem, A, x, estimate))
        n, r2, expected = map(self._sum, (self.trusted, residual.square(), variance))
        unexplained = r2 - expected * (1 + _BAND * (2 / n.clamp(min=1)).sqrt())
        if not bool((unexplained > 0).any()):
            return moved
        mean = self.spectrum.mean((-3, -2, -1), keepdim=True)
        shift = torch.where(unexplained > 0, expected * mean / unexplained, _NO_MOVE)
        shift = shift.clamp(_BAND_FLOOR, _NO_MOVE)
        return moved + self.step(A, missed, shift, cg_iterations)

    @property
    def _careful(self) -> bool:
        """Whether there is nothing but little noise."""
        alone = self.spectrum.shape[-2:] == (1, 1) and bool((self.coverage > 0).all())
        return alone and bool((self.std < CAREFUL).any())

    def _left(self, problem: Fidelity, A: LinearOperator, x: Image, estimate: Estimate) -> Tensor:
        """Unbiased for what the estimate leaves of the noise, ∂(Ax̂)ᵢ/∂yᵢ, in the mean of entries.

        The signs are periodic, so that windows may see those that the whole picture sees.
        """
        y, sides = problem.y, [round_up(side, PROBE) // PROBE for side in problem.y.shape[-2:]]
        h, w = y.shape[-2:]
        signs = random_signs(y.new_empty(1, y.shape[1], PROBE, PROBE), 0)
        signs = signs.repeat(1, 1, *sides)[..., :h, :w]
        change = _CHANGE * per_sample(self.std, y) * signs
        left = A(estimate(y + change) - x) / change
        return torch.where(per_sample(self.std, y) < CAREFUL, left, 0)

    def _sum(self, values: Tensor) -> Float[Tensor, "b 1 h w"]:
        """Around each entry where they are restored one by one, else (b 1 1 1) of all."""
        total = values.sum(1, keepdim=True)
        if self.spectrum.shape[-2:] != (1, 1):
            return total.sum((-2, -1), keepdim=True)
        half = SURROUNDINGS // 2
        for axis, margin in ((-2, (0, 0, half + 1, half)), (-1, (half + 1, half))):
            # differences of running sums: a sum does not depend on how many it is of
            running = functional.pad(total, margin).cumsum(axis, dtype=torch.float64)
            side = total.shape[axis]
            total = running.narrow(axis, SURROUNDINGS, side) - running.narrow(axis, 0, side)
        return total.to(values)


def noise(problem: Fidelity) -> tuple[PerSample, Tensor]:
    """Noise level of each sample, and which of its entries say anything (1) or are lost (0)."""
    variance, trusted = _variance(problem, FINEST)
    mean = ratio(variance.flatten(1).sum(1), trusted.flatten(1).sum(1))
    return mean.clamp(min=FINEST**2).sqrt(), trusted


def _variance(problem: Fidelity, finest: float) -> tuple[Tensor, Tensor]:
    """At least that of the finest noise where entries say anything, 0 where they are lost."""
    precision = problem.likelihood.noise.precision(problem.y)
    trusted = (precision > 0).to(precision)
    return ratio(trusted, precision).clamp(min=finest**2) * trusted, trusted


def _spectrum(A: LinearOperator, y: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Of AAᵀ as a periodic convolution: the transform of its response to the middle entry.

    A response of nothing (the middle entry is masked) counts as that of the identity, which makes
    the preconditioned step a plain one. Where AAᵀ is no such convolution, the grid is the next one
    of which transforms are fast: several times as fast for the sizes that pictures happen to have.
    """

    def spectrum(size: tuple[int, int]) -> Tensor:
        response = impulse_response(A.forward_adjoint, y, size)
        peak = torch.where(response[..., :1, :1] > 0, response[..., :1, :1], 1.0)
        response[..., :1, :1] = peak
        around = response.abs().sum((-2, -1), keepdim=True) - peak
        if bool((around <= 1e-6 * peak).all()):  # but for rounding a multiple of the identity
            return peak
        return torch.fft.rfft2(response).real.clamp(min=0)

    exact = y.shape[-2], y.shape[-1]
    of_y = spectrum(exact)
    if of_y.shape[-2:] == (1, 1) or all(map(is_fast, exact)):
        return of_y, exact
    signs = random_signs(y, 0)
    product = A.forward_adjoint(signs)
    off = norm(_multiplied(signs, of_y, exact) - product)
    if bool((off <= _PERIODIC * norm(product)).all()):
        return of_y, exact
    near = fast_size(exact[0]), fast_size(exact[1])
    return spectrum(near), near


def _multiplied(v: Tensor, spectrum: Tensor, grid: tuple[int, int]) -> Tensor:
    """v, continued by zeros, convolved on a periodic grid."""
    return torch.fft.irfft2(torch.fft.rfft2(v, s=grid) * spectrum, s=grid)


def _level(
    A: LinearOperator, problem: Fidelity, x0: Image, std: PerSample
) -> Float[Tensor, "b 1 h w"]:
    """σ as one map: where noise varies, that of the entries that a neighborhood took part in."""

    def around(entries: Tensor) -> Float[Tensor, "b 1 h w"]:
        near = A.adjoint(entries).mean(1, keepdim=True)
        side = _NEIGHBORHOOD
        return functional.avg_pool2d(near, side, 1, side // 2, count_include_pad=False)

    variance, trusted = _variance(problem, FINEST)
    floor = per_sample(std, x0)
    if bool((variance == per_sample(variance.flatten(1).amax(1), variance) * trusted).all()):
        return floor.expand(-1, -1, *x0.shape[-2:])  # white noise: σ everywhere
    reach = around(trusted)
    level = (around(variance) / reach.clamp(min=_SMALLEST_REACH)).clamp(min=0).sqrt()
    return torch.where(reach > _LITTLE_REACH, level, floor)
