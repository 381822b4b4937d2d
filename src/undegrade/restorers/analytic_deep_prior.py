"""Deblurring that learns the kernel from the very picture that it restores."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NamedTuple, final

import torch
from torch import Tensor

from undegrade.bilevel.hypergradient import Hypergradient, Implicit, Unrolled
from undegrade.bilevel.lower_level import LowerLevel
from undegrade.bilevel.maid import MAID, BarzilaiBorwein
from undegrade.bilevel.problem import Bilevel
from undegrade.bilevel.warm_started import WarmStarted
from undegrade.core.functional import Functional
from undegrade.core.image import Image, PerSample
from undegrade.core.measurement import Measurement
from undegrade.core.objective import Fidelity, Objective
from undegrade.core.parametrization import Parametrization
from undegrade.core.ranges import COUNT, POSITIVE, Range, check_ranges
from undegrade.core.reparametrized import Reparametrized
from undegrade.core.solver import Observer, Record, Result, Solver, solve
from undegrade.core.stopping import until
from undegrade.kernels.deformation import MOVED, Deformation, first_guesses
from undegrade.kernels.evidence import room_for
from undegrade.kernels.negative_log_evidence import NegativeLogEvidence
from undegrade.kernels.position import Position, positioned, trimmed, unit_sum
from undegrade.kernels.residual_color import whitest
from undegrade.operators.blur import Blur
from undegrade.operators.padding import Boundary
from undegrade.parametrizations.pointwise import Affine
from undegrade.parametrizations.simplex import Simplex
from undegrade.priors.sobolev import Sobolev
from undegrade.priors.tikhonov import Tikhonov
from undegrade.priors.total_variation import SmoothedTotalVariation
from undegrade.restorers.blur_of import blur_of
from undegrade.restorers.choice import Choice
from undegrade.restorers.initial import first_estimate
from undegrade.restorers.variational import Variational
from undegrade.solvers.gradient_descent import GradientDescent
from undegrade.solvers.lbfgs import LBFGS

Upper = Literal["evidence", "measurement"]
Through = Literal["ift", "lista", "maid"]

_PURPOSE = "the analytic deep prior learns the kernel of a blur"
_ROUND = 1e-4  # ε of smoothed total variation, as published
_LAYERS = 50  # unrolled iterations, as published
_PIXEL = 1.0  # weight of ½‖x‖² in nats, for MAID: a photograph's pixels are smaller than 1
_MEMORY = 10  # steps that L-BFGS remembers: kernels are small
_SETTLED = 1e-9  # of the loss that a step may still promise: kernels are a small part of it
_COMPARED = until(iterations=200, residual=1e-5, every=5)
_LOWER = until(iterations=500, residual=1e-7)  # a solution to about 0.01 dB


@final
@dataclass(frozen=True, kw_only=True)
class AnalyticDeepPrior:
    """Semi-blind deblurring: the kernel that is given is nearly right, and is corrected.

    min over B of upper(B) + β·S(B − A), x(B) = argminₓ −log p(y | B x) + weight · TV(x), with S
    the Sobolev distance of kernels. With `evidence` (semi-blind) the upper loss is −log p(y | B),
    the picture integrated out, and B a stretched, turned and blurred A (`Deformation`) without β.
    What that finds, parts of it, and A are compared by the structure of the residual that each one
    leaves (`residual_color`): A is kept where no other is clearly whiter. The result is that of
    `Variational` with the kernel that was taken.
    With `measurement` it is −log p(y | A x(B)), the analytic deep prior as published: A is
    believed, and B departs from it only to undo the bias of total variation, which gains little
    where A is right and nothing where it is wrong (docs/bilevel.md).

    References:
        Dittmer, Kluth, Maass and Otero Baguer, Regularization by architecture: a deep prior
        approach for inverse problems (2020). Arndt, Regularization theory of the analytic deep
        prior approach (2022). Salehi, Mukherjee, Roberts and Ehrhardt, An adaptively inexact
        first-order method for bilevel optimization (2025).

    Good values:
        the defaults. position given where the kernel was measured and is not symmetric.

    Arguments:
        upper: evidence for a kernel that is nearly right, measurement for the published form.
        beta: β of the published form, in nats per squared entry of a kernel of sum 1.
        weight: λ of total variation; without one, it is chosen from the noise level.
        solver: of the published form: ift (implicit gradients, L-BFGS), lista (50 unrolled
            iterations, gradient descent) or maid (accuracies adapted, error bounded).
        constrained: of the published form: whether the kernel is kept non-negative and of sum 1,
            as a shape always is.
        per_channel: whether every color has a kernel of its own.
        position: where the middle of a kernel is: at its center of mass, which a picture does not
            tell, or as given.
        iterations: most outer iterations.

    Raises:
        ValueError: `restore` where the degradation is no blur, or the picture too small.
    """

    upper: Upper = "evidence"
    beta: Annotated[float, Range(0, 1e12)] = 3000.0
    weight: Annotated[float | None, POSITIVE] = None
    solver: Through = "ift"
    constrained: bool = True
    per_channel: bool = False
    position: Position = "center"
    iterations: Annotated[int, COUNT] = 40

    def __post_init__(self) -> None:
        check_ranges(self)

    def restore(self, measurement: Measurement, *, observe: Sequence[Observer] = ()) -> Result[Any]:
        x0 = first_estimate(measurement)
        given = blur_of(measurement.operator, x0, _PURPOSE)
        if _does_nothing(given):
            return self._plain.restore(measurement, observe=observe)
        if self.upper == "measurement":
            return self._published(measurement, given, x0, observe)
        channels = x0.shape[1] if self.per_channel else 1
        kernels = given.psf.mean(1, keepdim=True) if channels == 1 else given.psf
        wide = kernels.expand(len(x0), channels, -1, -1)
        start = positioned(wide, self.position, 0)
        return self._semi_blind(measurement, start, given.boundary, observe)

    def choose(self, measurement: Measurement) -> Choice | None:
        """Total variation alone where there is no blur."""
        x0 = first_estimate(measurement)
        given = blur_of(measurement.operator, x0, _PURPOSE)
        if not _does_nothing(given):
            return None
        reason = "there is no kernel to correct"
        return Choice(name="variational", restorer=self._plain, reason=reason)

    @property
    def _plain(self) -> Variational:
        return Variational(weight=self.weight)

    def _semi_blind(
        self,
        measurement: Measurement,
        start: Tensor,
        boundary: Boundary,
        observe: Sequence[Observer],
    ) -> Result[Any]:
        """Kernels that the evidence proposes, the whitest of them, and total variation with it."""
        found, proposed = self._shapes(measurement, start)
        kernel = whitest(proposed, self._compared(measurement, proposed[1], boundary))
        blur = Blur(unit_sum(trimmed(kernel)), boundary)
        variational = Variational(weight=self.weight)
        result = variational.restore(replace(measurement, operator=blur), observe=observe)
        return replace(
            result,
            kernel=blur.psf,
            trace=(*found.trace, *_later(result.trace, found)),
            chosen={**result.chosen, **_moved(kernel, proposed[0])},
        )

    def _shapes(self, measurement: Measurement, start: Tensor) -> tuple[Result[Any], list[Tensor]]:
        """The kernel stretched, turned and blurred; also half as much, and less blurred."""
        y, room = measurement.y, room_for(measurement.y, start)
        free = Deformation(start.double(), room)
        evidence = Reparametrized(_evidence(measurement, free.image(free.latent(start))), free)
        objective = Objective(evidence, Tikhonov(), 1.0)
        guesses = first_guesses(free.kernel)[:, None].expand(-1, len(y), -1)
        losses = torch.stack([objective(guess) for guess in guesses])
        best = guesses[losses.argmin(0), torch.arange(len(y), device=y.device)]
        stop = until(iterations=self.iterations, residual=_SETTLED)
        found = solve(LBFGS(memory=_MEMORY), objective, best, stop=stop, observe=(_loss,))
        moved = torch.tensor(MOVED).to(found.x)
        shares = (0.0 * moved, moved + 0.5 * (1 - moved), moved, torch.ones_like(moved), 0.5)
        return found, [free.image(share * found.x).to(start) for share in shares]

    def _compared(
        self, measurement: Measurement, kernel: Tensor, boundary: Boundary
    ) -> Callable[[Tensor, float], Tensor]:
        """(kernel, times) ↦ the residual, with so many times the weight that suits a kernel."""

        def blurred(kernel: Tensor) -> tuple[Measurement, Image]:
            changed = replace(measurement, operator=Blur(kernel, boundary))
            return changed, first_estimate(changed)

        weight = self._plain.choose_weight(*blurred(kernel))

        def left(kernel: Tensor, times: float) -> Tensor:
            m, x0 = blurred(kernel)
            objective = self._plain.objective(m, times * weight)
            x = solve(LBFGS(memory=1), objective, x0, stop=_COMPARED).x
            return (m.operator(x) - m.y) * m.precision.sqrt()

        return left

    def _published(
        self, measurement: Measurement, given: Blur, x0: Image, observe: Sequence[Observer]
    ) -> Result[Any]:
        """The kernel whose total variation solution the given kernel explains best, and that."""
        y, likelihood, free = measurement.y, measurement.likelihood, self._parametrization
        weight = Variational(weight=self.weight).choose_weight(measurement, x0)
        channels = y.shape[1] if self.per_channel else given.psf.shape[1]
        start = given.psf.expand(len(y), channels, -1, -1)

        def objective(theta: Tensor) -> Objective[Any, Any]:
            data = Fidelity(Blur(free.image(theta), given.boundary), likelihood, y)
            pixels = Objective(data, Tikhonov(), _PIXEL if self.solver == "maid" else 0.0)
            return Objective(pixels, SmoothedTotalVariation(epsilon=_ROUND), weight)

        how, latent = _HOW[self.solver], free.latent(start)
        begin = solve(_DESCENT, objective(latent), x0, stop=_LOWER).x
        lower = LowerLevel(objective=objective, solver=how.lower, stop=_LOWER, start=begin)
        loss = Bilevel(Fidelity(given, likelihood, y), lower, how.hypergradient)
        stop = until(iterations=self.iterations, residual=_SETTLED)
        watch = (_loss, *(_of_pictures(o) for o in observe))
        found = solve(how.upper, self._penalized(loss, start), latent, stop=stop, observe=watch)
        blur = Blur(free.image(found.x), given.boundary)
        x, _ = replace(lower, solver=_DESCENT).solve(found.x, found.state.lower)
        chosen = {"weight": weight, **_moved(blur.psf, start)}
        return replace(found, x=x, x0=x0, kernel=blur.psf, chosen=chosen)

    @property
    def _parametrization(self) -> Parametrization:
        return Simplex() if self.constrained else Affine()

    def _penalized(self, loss: Functional, start: Tensor) -> Objective[Any, Any]:
        """With β·S(B − A)."""
        penalty = Reparametrized(Sobolev(start), self._parametrization)
        return Objective(loss, penalty, self.beta)


class _How(NamedTuple):
    """Outer solver, lower solver, and the derivative through the lower one."""

    upper: Solver[Any, Any]
    lower: Solver[Any, Any]
    hypergradient: Hypergradient


_DESCENT = LBFGS(memory=3)
_IMPLICIT = Implicit(tolerance=1e-3, iterations=300)
_HOW: dict[str, _How] = {
    "ift": _How(WarmStarted(LBFGS(memory=_MEMORY)), _DESCENT, _IMPLICIT),
    "lista": _How(WarmStarted(GradientDescent()), GradientDescent(), Unrolled(steps=_LAYERS)),
    "maid": _How(MAID(steps=BarzilaiBorwein(), memory=0.85), _DESCENT, _IMPLICIT),
}


class _Seen(NamedTuple):
    """The restored picture of an outer iterate, for observers of pictures."""

    x: Image
    residual: PerSample


def _of_pictures(observer: Observer) -> Observer:
    def observe(iteration: int, state: Any) -> Mapping[str, PerSample]:
        return observer(iteration, _Seen(state.lower, state.residual))

    return observe


def _loss(iteration: int, state: Any) -> Mapping[str, PerSample]:
    """The upper loss with its penalty, for the trace."""
    del iteration
    return {"upper loss": state.value}


def _later(trace: Sequence[Record], before: Result[Any]) -> Iterator[Record]:
    """Records that continue those of another result."""
    first = max(before.iterations)
    for r in trace:
        yield replace(r, iteration=first + r.iteration, seconds=before.seconds + r.seconds)


def _evidence(measurement: Measurement, like: Tensor) -> NegativeLogEvidence:
    """Of kernels of this shape."""
    y = measurement.y
    std = measurement.likelihood.noise.precision(y).flatten(1).mean(1).rsqrt()
    return NegativeLogEvidence(y, std, (like.shape[1], like.shape[2], like.shape[3]))


def _moved(kernel: Tensor, start: Tensor) -> Mapping[str, PerSample]:
    """How much of the kernel lies elsewhere now, from 0 to 1; exactly 0 where it is kept."""
    return {"kernel changed": 0.5 * (kernel - start).abs().flatten(1).sum(1) / start.shape[1]}


def _does_nothing(blur: Blur) -> bool:
    return blur.psf[0, 0].numel() == 1
