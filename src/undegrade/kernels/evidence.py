"""How well blur kernels explain the power spectrum of one picture, whatever the picture shows."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

_USUAL_PATCH = 64  # pixels per side: fine enough for the zeros of a kernel of half that size
_LEAST_PATCH = 16
_LOWEST = 2.5  # frequencies of fewer cycles per patch are the window's, not the picture's
_ITERATIONS = 25  # of scoring; 6 to 10 are taken
_SETTLED = 0.02  # nats; a difference of 2 begins to mean something
# A Hann window ties 2.25 neighboring frequencies of a plane together, and half overlapping
# patches repeat a sixth of what they see.
_REPEATED = 2.6
# log S(f) = c₀ + c₁ log f + angular waves. A photograph has c₁ = −2.2 ± 0.35 and prefers some
# directions (edges of buildings, horizons): spread of every coefficient over photographs.
_SLOPE = -2.2
_SPREAD = (math.inf, 0.35, 0.5, 0.5, 0.4, 0.4, 0.2, 0.2)


class KernelEvidence(NamedTuple):
    """−log evidence of kernels, in nats, up to a constant: less is better, differences count."""

    losses: Float[Tensor, "k p"]
    """Of every patch of the picture under every kernel."""
    penalty: Float[Tensor, "k"]
    """What the picture's spectrum costs that goes best with a kernel."""

    @property
    def total(self) -> Float[Tensor, "k"]:
        """Of the whole picture."""
        return self.losses.sum(1) + self.penalty

    def against(self, kernel: int, other: int) -> tuple[float, float]:
        """How much worse the other kernel is, and the standard error of that over patches."""
        worse = self.losses[other] - self.losses[kernel]
        gap = self.penalty[other] - self.penalty[kernel]
        return float(worse.sum() + gap), float(worse.std() * math.sqrt(len(worse)))

    def resampled(self, draws: int, seed: int = 0) -> Tensor:
        """The best kernel's index for pictures made of patches drawn with replacement, (draws)."""
        generator, patches = torch.Generator().manual_seed(seed), self.losses.shape[1]
        drawn = torch.randint(patches, (draws, patches), generator=generator)
        return (self.losses[:, drawn].sum(2) + self.penalty[:, None]).argmin(0)


def together(parts: Sequence[KernelEvidence]) -> KernelEvidence:
    """The evidence of all kernels, where all were scored by patches of one size."""
    losses, penalties = zip(*parts, strict=True)
    return KernelEvidence(torch.cat(losses), torch.cat(penalties))


def kernel_evidence(
    y: Float[Tensor, "1 c h w"],
    kernels: Sequence[Tensor],
    std: float,
    patch: int | None = None,
) -> KernelEvidence:
    """−log p(y | kernel), the picture integrated out: a Gaussian field with a natural spectrum.

    The periodogram of windowed patches has the mean |H(f)|² S(f) + std², log S a power law with
    preferred directions that is fitted anew under every kernel, so that contrast, sharpness and
    direction of what the picture shows have no say. Scoring the kernel alone, without a restored
    picture, does not favor "no blur" as joint minimization does. Blind to phase: a kernel, its
    mirror image and a shifted one score alike. Fails on pictures with hardly any texture, and
    where clipped lights make up much of the contrast.

    References:
        Levin, Weiss, Durand and Freeman, Understanding and evaluating blind deconvolution
        algorithms (2009). Whittle, Estimation and information in stationary time series (1953).
        Welch, The use of fast Fourier transform for the estimation of power spectra (1967).

    Arguments:
        y: one picture, its channels averaged.
        kernels: candidates (kh kw), of odd or even sizes.
        std: of the white noise in one channel, in units of y.
        patch: pixels per side, a power of 2; by default what suits the kernels. Evidence is
            comparable between patches of one size.

    Raises:
        ValueError: several pictures; a picture too small for the kernels; a std that is negative.
    """
    if len(y) != 1 or std < 0:
        raise ValueError(f"expected one picture and a std of 0 or more, got {len(y)} and {std}")
    side = patch_side(y, max(max(k.shape) for k in kernels)) if patch is None else patch
    spectra = patch_spectra(y, std / y.shape[1] ** 0.5, side)
    seen = torch.cat([spectra.seen(kernel[None]) for kernel in kernels])
    return spectra.evidence(spectra.best(seen), seen)


def patch_side(y: Tensor, largest: int) -> int:
    """A power of 2, at least twice the largest side of a kernel where the picture allows it.

    At most half the picture's side: what differs between patches tells how sure the evidence is.

    Raises:
        ValueError: the picture is too small.
    """
    least = min(y.shape[-2:])
    wanted = max(_USUAL_PATCH, 2 ** math.ceil(math.log2(2 * largest)))
    side = min(wanted, 2 ** int(math.log2(max(least / 2, 1))))
    if side < max(_LEAST_PATCH, largest):
        raise ValueError(
            f"a picture of {y.shape[-2]}×{y.shape[-1]} pixels is too small to tell its blur from; "
            f"expected at least {2 * max(_LEAST_PATCH, largest)} a side"
        )
    return side


def room_for(y: Tensor, kernel: Tensor) -> int:
    """Pixels by which a kernel may grow on each side: 2 and a fourth of it, where patches allow."""
    side = max(kernel.shape[-2:])
    most = 2 ** int(math.log2(max(min(y.shape[-2:]) / 2, _LEAST_PATCH)))
    return max(0, min(2 + math.ceil(side / 4), (most - side) // 2))


def _window(side: int) -> Tensor:
    """Hann's, of unit energy: white noise of variance N has the periodogram N."""
    line = torch.hann_window(side, periodic=False, dtype=torch.float64)
    return line / line.norm()


def _periodogram(y: Float[Tensor, "1 h w"], side: int) -> Float[Tensor, "p f"]:
    """|F|² of half overlapping patches without their means."""
    line = _window(side)
    window = line[:, None] * line
    tiles = y[0].unfold(0, side, side // 2).unfold(1, side, side // 2).flatten(0, 1)
    mean = (tiles * window).sum((1, 2), keepdim=True) / window.sum()
    return torch.fft.rfft2((tiles - mean) * window).abs().square()[:, _used(side)]


def _frequency(side: int) -> tuple[Tensor, Tensor]:
    """Cycles per pixel, vertical and horizontal, (side, side//2 + 1)."""
    rows = torch.fft.fftfreq(side, dtype=torch.float64)[:, None]
    columns = torch.fft.rfftfreq(side, dtype=torch.float64)[None]
    shape = side, side // 2 + 1
    return rows.expand(shape), columns.expand(shape)


def _used(side: int) -> Tensor:
    rows, columns = _frequency(side)
    return torch.hypot(rows, columns) >= _LOWEST / side


def _times(side: int) -> Tensor:
    """How many real numbers every used coefficient stands for, over 2."""
    times = torch.ones(side, side // 2 + 1, dtype=torch.float64)
    times[:, 0] = times[:, -1] = 0.5  # these columns hold their own mirror images
    return times[_used(side)]


def _waves(side: int) -> Float[Tensor, "f 8"]:
    """What log S is a sum of."""
    rows, columns = _frequency(side)
    fall = (torch.hypot(rows, columns).clamp(min=1 / side) / 0.1).log()
    angle = torch.atan2(rows, columns)
    across, along = torch.cos(2 * angle), torch.sin(2 * angle)
    finer = (torch.cos(4 * angle), torch.sin(4 * angle))
    waves = (torch.ones_like(fall), fall, across, along, *finer, fall * across, fall * along)
    return torch.stack(waves, -1)[_used(side)]


def patch_spectra(y: Float[Tensor, "1 c h w"], std: float, side: int) -> "Spectra":
    """What a picture, its channels averaged, tells of kernels; std is of the noise in the mean."""
    power = _periodogram(y.double().mean(1), side)
    noise = std**2 + torch.finfo(y.dtype).eps * float(power.mean())
    return Spectra(power, noise, side)


class Spectra:
    """|H|² S + N beside the periodograms of a picture's patches.

    Arguments:
        power: periodograms of the patches.
        noise: N.
        side: of a patch.
    """

    def __init__(self, power: Tensor, noise: float, side: int) -> None:
        self.power, self.noise, self.side = power, noise, side
        self.waves, self.times = _waves(side), _times(side) * len(power) / _REPEATED
        self.pairs = (self.waves[:, :, None] * self.waves[:, None, :]).flatten(1)
        self.mean, self.spread = power.mean(0), torch.tensor(_SPREAD, dtype=torch.float64)
        self.inverse = self.spread**-2
        self.usual = torch.zeros_like(self.spread)
        self.usual[1] = _SLOPE
        correlation = torch.fft.irfft(torch.fft.rfft(_window(side), 2 * side).abs().square())
        lag = torch.arange(side)
        taper = correlation[torch.minimum(lag, side - lag)]
        self.taper, self.used = taper[:, None] * taper, _used(side)

    def seen(self, kernels: Float[Tensor, "k kh kw"]) -> Float[Tensor, "k f"]:
        """|H|² as windowed patches show it: convolved with the window's spectrum."""
        shape = self.side, self.side
        power = torch.fft.rfft2(kernels.double(), s=shape).abs().square()
        narrow = torch.fft.irfft2(power, s=shape) * self.taper
        return torch.fft.rfft2(narrow).real[:, self.used].clamp(min=1e-12)

    def best(self, seen: Float[Tensor, "k f"]) -> Float[Tensor, "k 8"]:
        """The best S for every kernel, by damped Fisher scoring."""
        c = self._start(seen)
        value, damping = self.loss(c, seen), c.new_full((len(c), 1, 1), 1e-3)
        for _ in range(_ITERATIONS):
            trial = c + self._step(c, seen, damping)
            reached = self.loss(trial, seen)
            better = reached < value
            gained = torch.where(better, value - reached, 0.0)
            c = torch.where(better[:, None], trial, c)
            value = torch.minimum(value, reached)
            damping = torch.where(better[:, None, None], 0.2 * damping, 8 * damping)
            if bool((gained < _SETTLED).all()) and bool(better.any()):
                break
        return c

    def loss(self, c: Tensor, seen: Tensor) -> Float[Tensor, "k"]:
        """−log p(patches | S) − log p(S)."""
        m = self._model(c, seen)
        return (self.times * (m.log() + self.mean / m)).sum(1) + self._penalty(c)

    def slope(self, c: Tensor, seen: Tensor) -> Float[Tensor, "k 8"]:
        """Of the loss in c."""
        m = self._model(c, seen)
        along = self.times * (1 - self.noise / m) * (1 - self.mean / m)
        return along @ self.waves + (c - self.usual) * self.inverse

    def curvature(self, c: Tensor, seen: Tensor) -> Float[Tensor, "k 8 8"]:
        """The Hessian of the loss in c."""
        m = self._model(c, seen)
        noise, observed = self.noise / m, self.mean / m
        return self._curved(self.times * (1 - noise) * (observed + noise - 2 * observed * noise))

    def evidence(self, c: Tensor, seen: Tensor) -> KernelEvidence:
        """With every patch by itself."""
        m = self._model(c, seen)
        each = (self.times * m.log()).sum(1, keepdim=True) + (self.times / m) @ self.power.T
        return KernelEvidence(each / len(self.power), self._penalty(c))

    def _start(self, seen: Tensor) -> Tensor:
        """A usual spectrum of the right energy."""
        passed = (seen * (self.waves @ self.usual).exp()).mean(1)
        energy = (self.mean - self.noise).clamp(min=1e-3 * self.noise).mean()
        c = self.usual.repeat(len(seen), 1)
        c[:, 0] += (energy / passed).log()
        return c

    def _model(self, c: Tensor, seen: Tensor) -> Tensor:
        return seen * (c @ self.waves.T).exp() + self.noise

    def _penalty(self, c: Tensor) -> Tensor:
        """How unusual a spectrum is."""
        return 0.5 * ((c - self.usual).square() * self.inverse).sum(1)

    def _step(self, c: Tensor, seen: Tensor, damping: Tensor) -> Tensor:
        """At most 1.5 in every coefficient."""
        m = self._model(c, seen)
        curve = self._curved(self.times * (1 - self.noise / m).square())
        damped = curve + damping * torch.diag_embed(curve.diagonal(0, 1, 2))
        step = torch.linalg.solve(damped, -self.slope(c, seen))
        return step / (step.abs().amax(1, keepdim=True) / 1.5).clamp(min=1)

    def _curved(self, weights: Float[Tensor, "k f"]) -> Float[Tensor, "k 8 8"]:
        """Σ over frequencies of weight · waves wavesᵀ, and the penalty's."""
        curve = (weights @ self.pairs).unflatten(1, (-1, len(self.inverse)))
        return curve + torch.diag(self.inverse)
