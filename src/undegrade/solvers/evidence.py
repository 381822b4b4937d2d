"""What a learned method is shown of a problem: the degradation reaches the network only here."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from undegrade.core.functional import Fidelity
from undegrade.core.image import Image, PerSample, inner, norm, spread
from undegrade.core.operator import LinearOperator, Operator
from undegrade.solvers.link import Link

_FINEST = 1 / 510  # half a gray level of 8 bits: noise below it is taken for this much


class Known(NamedTuple):
    """What is worked out once per measurement.

    Arguments:
        std: standard deviation of the noise, per sample, in units of the image.
        weights: 1 for entries of y that say something, 0 for those that are lost.
        spectrum: of AAᵀ, half of it as `rfft2` gives it, or (b c 1 1) where it is constant.
        maps: images that every step sees, side by side as channels.
    """

    std: PerSample
    weights: Tensor
    spectrum: Tensor
    maps: Tensor


@runtime_checkable
class Evidence(Protocol):
    """What a cell is shown. `channels` counts them for images of `colors` channels."""

    def channels(self, colors: int) -> int: ...
    def start(self, problem: Fidelity, x0: Image) -> tuple[Image, Known]: ...
    def look(
        self, problem: Fidelity, known: Known, latent: Tensor, link: Link, iteration: int
    ) -> Tensor: ...
    def finish(self, problem: Fidelity, known: Known, x: Image) -> Image: ...


@final
class GradientEvidence(nn.Module):
    """(η, ∇_η L·v/(v + ε)): the estimate and the likelihood's gradient, as in the papers.

    v is the noise variance, so that for Gaussian noise the second part is Aᵀ(Ax − y)/(v + ε) times
    ψ′(η): large, but bounded, where the measurement is exact. ε is learned.

    It works for any differentiable operator. It is slow for ill-conditioned blurs, whose gradient
    hardly shows what is missing.

    References:
        Putzky and Welling (2017), equations 7–9; the LGD project.

    Arguments:
        differentiable: whether training differentiates through ∇L.
    """

    def __init__(self, *, differentiable: bool = True) -> None:
        super().__init__()
        self.differentiable = differentiable
        self.log_epsilon = nn.Parameter(torch.tensor(-6.0))

    def channels(self, colors: int) -> int:
        """Estimate and gradient."""
        return 2 * colors

    def start(self, problem: Fidelity, x0: Image) -> tuple[Image, Known]:
        """Starts where it is told to."""
        std, weights = noise(problem)
        return x0, Known(std, weights, std.new_ones(1, 1, 1, 1), x0[:, :0])

    def look(
        self, problem: Fidelity, known: Known, latent: Tensor, link: Link, iteration: int
    ) -> Tensor:
        """η and the scaled gradient."""
        del iteration
        seen = latent if self.differentiable else latent.detach()
        gradient = problem.value_and_grad(link.image(seen))[1] * link.slope(seen)
        variance = known.std.square()
        epsilon = torch.nn.functional.softplus(self.log_epsilon)
        scale = variance / (variance + epsilon)
        return torch.cat((latent, spread(scale, latent) * gradient), 1)

    def finish(self, problem: Fidelity, known: Known, x: Image) -> Image:
        """The last estimate as it is."""
        del problem, known
        return x


@final
class PreconditionedEvidence(nn.Module):
    """Everything that the quadratic model of the likelihood says about an estimate, in its units.

    With W = 0 for lost entries of y, 1 for others, and noise level σ, a cell sees side by side
    x, the residual g = AᵀW(Ax − y), the preconditioned step d = −AᵀW(WAAᵀW + μ)⁻¹W(Ax − y) with
    μ = σ²/τ², the coverage AᵀWA1 (which pixels took part, where the border is, what the factor
    was), the noise level σ as a map, and τ, the error that step t expects of its input.

    d is what regularized least squares would change, so that the network need not learn to invert
    kernels. The inverse is by conjugate gradients, preconditioned by AAᵀ as if it were a periodic
    convolution: exact at once for identity, masks, periodic blurs and their decimations; for other
    boundaries a few iterations repair most of the frame, where plain ones would need tens.

    Good values:
        errors (0.05, 0.05, 0.03): τ for the start, then for each step; floor 0.003, below which
        noise-free borders ring; inner 3.

    Arguments:
        errors: τ, expected root-mean-square error, at the start and in each step; the last goes on.
        floor: smallest μ.
        inner: most conjugate gradient iterations.
        differentiable: whether training differentiates through g and d.

    Raises:
        ValueError: `start` of an operator that is not linear.
    """

    def __init__(
        self,
        errors: tuple[float, ...] = (0.05, 0.05, 0.03),
        floor: float = 0.003,
        inner: int = 3,
        *,
        differentiable: bool = False,
    ) -> None:
        super().__init__()
        self.errors, self.floor, self.inner = errors, floor, inner
        self.differentiable = differentiable

    def channels(self, colors: int) -> int:
        """x, g, d and the coverage per color, σ and τ once."""
        return 4 * colors + 2

    def start(self, problem: Fidelity, x0: Image) -> tuple[Image, Known]:
        """The start x0, moved to where the measurement wants it: x0 + d."""
        A = _linear(problem.operator)
        std, weights = noise(problem)
        coverage = A.adjoint(weights * A(torch.ones_like(x0)))
        maps = torch.cat((coverage, _level(A, problem, std)), 1)
        known = Known(std, weights, _spectrum(A, problem.y), maps)
        return x0 + self._step(problem, known, x0, self.errors[0])[1], known

    def look(
        self, problem: Fidelity, known: Known, latent: Tensor, link: Link, iteration: int
    ) -> Tensor:
        """All of it, as channels."""
        x = link.image(latent)
        error = self.errors[min(iteration + 1, len(self.errors) - 1)]
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.differentiable):
            g, d = self._step(problem, known, x, error)
        return torch.cat((x, g, d, known.maps, torch.full_like(x[:, :1], error)), 1)

    def finish(self, problem: Fidelity, known: Known, x: Image) -> Image:
        """The last estimate, moved to where no entry of y is missed by more than 3σ.

        Where the measurement is nearly exact, a network's own rounding is the larger error.
        """
        A = _linear(problem.operator)
        residual = known.weights * (problem.y - A(x))
        band = 3 * spread(known.std, residual)
        return x + self._moved(
            A,
            known,
            residual - torch.minimum(torch.maximum(residual, -band), band),
            self.errors[-1],
        )

    def _step(self, problem: Fidelity, known: Known, x: Image, error: float) -> tuple[Image, Image]:
        A = _linear(problem.operator)
        residual = known.weights * (problem.y - A(x))
        return -A.adjoint(residual), self._moved(A, known, residual, error)

    def _moved(self, A: LinearOperator, known: Known, residual: Tensor, error: float) -> Image:
        """Aᵀ(WAAᵀW + μ)⁻¹ residual."""
        kept = known.weights
        shift = spread((known.std / error).square().clamp(min=self.floor), residual)
        if known.spectrum.shape[-2:] == (1, 1):
            return A.adjoint(residual) / (known.spectrum + shift)

        def normal(v: Tensor) -> Tensor:
            return kept * A(A.adjoint(kept * v)) + shift * v

        return A.adjoint(kept * self._solved(normal, residual, known.spectrum + shift))

    def _solved(self, normal: Callable[[Tensor], Tensor], b: Tensor, spectrum: Tensor) -> Tensor:
        """v with normal(v) ≈ b, preconditioned by division of the spectrum."""

        def divided(r: Tensor) -> Tensor:
            return torch.fft.irfft2(torch.fft.rfft2(r) / spectrum, s=(r.shape[-2], r.shape[-1]))

        tiny, enough = torch.finfo(b.dtype).tiny, 1e-4 * norm(b)
        v, r, z = torch.zeros_like(b), b, divided(b)
        p, rz = z, inner(b, z)
        for _ in range(self.inner):
            q = normal(p)
            step = spread(rz / inner(p, q).clamp(min=tiny), p)
            v, r = v + step * p, r - step * q
            if bool((norm(r) <= enough).all()):
                break
            z = divided(r)
            rz, old = inner(r, z), rz
            p = z + spread(rz / old.clamp(min=tiny), p) * p
        return v


def noise(problem: Fidelity) -> tuple[PerSample, Tensor]:
    """Noise level of each sample, and which of its entries say anything (1) or are lost (0)."""
    variance, trusted = _variance(problem)
    count = trusted.flatten(1).sum(1).clamp(min=1)
    return (variance.flatten(1).sum(1) / count).clamp(min=_FINEST**2).sqrt(), trusted


def _variance(problem: Fidelity) -> tuple[Tensor, Tensor]:
    precision = problem.likelihood.precision(problem.y).clamp(max=_FINEST**-2)
    trusted = (precision > 0).to(precision)
    return trusted / torch.where(precision > 0, precision, 1.0), trusted


def _spectrum(A: LinearOperator, y: Tensor) -> Tensor:
    """Of AAᵀ as a periodic convolution: the transform of its response to the middle entry.

    A response of nothing (the middle entry is masked) counts as that of the identity, which makes
    the preconditioned step a plain one.
    """
    row, column = y.shape[-2] // 2, y.shape[-1] // 2
    impulse = torch.zeros_like(y)
    impulse[..., row, column] = 1
    response = A(A.adjoint(impulse))
    peak = response[..., row : row + 1, column : column + 1]
    peak = torch.where(peak > 0, peak, torch.ones_like(peak))
    around = response.flatten(2).abs().sum(2) - peak.flatten(1).abs()
    if bool((around <= 1e-6 * peak.flatten(1)).all()):
        return peak
    response = torch.where(around[..., None, None] > -0.5 * peak, response, impulse)
    spectrum = torch.fft.rfft2(response.roll((-row, -column), (-2, -1)))
    return spectrum.real.clamp(min=0)


def _level(A: LinearOperator, problem: Fidelity, std: PerSample) -> Image:
    """σ as one map: where noise varies, that of the entries that a neighborhood took part in."""

    def around(entries: Tensor) -> Image:
        near = A.adjoint(entries).mean(1, keepdim=True)
        return functional.avg_pool2d(near, 9, 1, 4, count_include_pad=False)

    variance, trusted = _variance(problem)
    reach, floor = around(trusted), spread(std, problem.y)
    level = (around(variance) / reach.clamp(min=1e-6)).clamp(min=0).sqrt()
    return torch.where(reach > 1e-3, level, floor)


def _linear(operator: Operator) -> LinearOperator:
    if not isinstance(operator, LinearOperator):
        raise ValueError(
            f"preconditioned evidence needs a linear operator, got {type(operator).__name__}"
        )
    return operator
