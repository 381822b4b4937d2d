"""The parameters of a blur that has a formula, from the picture alone."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from undegrade.kernels.evidence import KernelEvidence, kernel_evidence, patch_side, together
from undegrade.kernels.formulas import disk_psf, gaussian_psf, motion_psf

Values = tuple[float, ...]

_DRAWS = 200  # of patches: the spread of estimates is known to 5 %
_CERTAIN = 2.0  # standard errors that a blur must be better than none
_TELLING = 0.25  # standard error of a size, as a part of it, beyond which the picture does not tell
_NARROWING = (0.25, 0.08)  # spacing of sizes in the two later searches, relative to the first one
_DEGREES = (6.0, 2.0)
_USUAL_RATIO, _USUAL_TURN = 1.1, 12.0  # of a first search
_HALF = 3  # grid points on each side in a later search
_NO_BLUR = torch.ones(1, 1)


@dataclass(frozen=True, kw_only=True)
class Family:
    """Kernels with a formula.

    Arguments:
        names: of the parameters; the first one is a size in pixels, a second one an angle.
        kernel: (parameters) ↦ the kernel.
        sizes: the sizes that are searched, in equal ratios.
        mistaken: error of a size, as a part of it, by which photographs differ from the model that
            all parts of a picture share, as seen on ten CBSD68 pictures.
        angles: in degrees; none where the kernel has no direction.
    """

    names: tuple[str, ...]
    kernel: Callable[..., Tensor]
    sizes: tuple[float, ...]
    mistaken: float
    angles: tuple[float, ...] = ()


def _ratios(least: float, most: float, count: int) -> tuple[float, ...]:
    return tuple(least * (most / least) ** (i / (count - 1)) for i in range(count))


FAMILIES: dict[str, Family] = {
    "disk": Family(names=("radius",), kernel=disk_psf, sizes=_ratios(0.7, 16.0, 34), mistaken=0.01),
    "gaussian": Family(
        names=("std",), kernel=gaussian_psf, sizes=_ratios(0.4, 8.0, 30), mistaken=0.05
    ),
    "motion": Family(
        names=("length", "angle"),
        kernel=motion_psf,
        sizes=_ratios(2.0, 32.0, 18),
        mistaken=0.01,
        angles=tuple(12.0 * i for i in range(15)),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A kernel of a family as the picture tells it.

    Arguments:
        family: its name in `FAMILIES`.
        values: the parameters.
        errors: their standard errors, from patches of the picture drawn with replacement.
        doubt: why the picture does not tell; empty where it does.
    """

    family: str
    values: Values
    errors: Values
    doubt: str = ""

    @property
    def kernel(self) -> Tensor:
        """The kernel."""
        return FAMILIES[self.family].kernel(*self.values)

    def __str__(self) -> str:
        named = zip(FAMILIES[self.family].names, self.values, self.errors, strict=True)
        said = ", ".join(f"{name} {value:.3g} ± {error:.2g}" for name, value, error in named)
        return f"{self.family}, {said}"


def estimate_kernel(
    y: Float[Tensor, "1 c h w"],
    family: str,
    std: float,
    start: Values = (),
    within: Sequence[tuple[float, float]] = (),
) -> Estimate:
    """The kernel of a family that explains a picture best, and how sure that is.

    By `kernel_evidence` on a grid that is narrowed twice. The picture does not tell where a kernel
    is not clearly better than none, where the best one is at the end of what was searched, or
    where other patches of the same picture would give quite another size.

    Good values: at 1 % noise and 481×321 pixels the error is a few percent of a radius and some
    percent of a standard deviation (docs/bilevel.md).

    Arguments:
        y: one blurred picture.
        family: disk, gaussian or motion.
        std: of its noise.
        start: where to look: sizes within a factor 2, angles within 30°; everywhere when empty.
        within: or the least and the largest value of every parameter.

    Raises:
        ValueError: no such family, a start or limits that do not fit it, a picture that is too
            small.
    """
    if family not in FAMILIES:
        raise ValueError(f"expected a blur of {', '.join(FAMILIES)} to estimate, got {family!r}")
    _check_start(family, start)
    _check_limits(family, within)
    search = _Search(family, y, std, start, within)
    best = search.look(search.first)
    for finer, degrees in zip(_NARROWING, _DEGREES, strict=True):
        best = search.look(search.around(best, finer, degrees))
    return search.judged(best)


class _Search:
    """Kernels of a family that were scored so far, all by patches of one size."""

    def __init__(
        self,
        family: str,
        y: Tensor,
        std: float,
        start: Values,
        within: Sequence[tuple[float, float]],
    ) -> None:
        self.family, self.shape, self.y, self.std = family, FAMILIES[family], y, std
        sizes, self.angles = _grid_within(within) if within else _first_grid(self.shape, start)
        self.turns = within[1] if len(within) > 1 else (-math.inf, math.inf)
        room = min(y.shape[-2:]) / 4  # for a kernel
        self.sizes = [s for s in sizes if self._side(s) <= room]
        if not self.sizes:
            raise ValueError(f"a picture of {y.shape[-2]}×{y.shape[-1]} pixels is too small")
        self.patch = patch_side(y, self._side(self.sizes[-1]))
        self.tried, self.parts = list[Values](), list[KernelEvidence]()

    @property
    def first(self) -> list[Values]:
        return _products(self.sizes, self.angles)

    def around(self, best: Values, finer: float, degrees: float) -> list[Values]:
        """A grid about the best one, its sizes in steps of a part of the first grid's."""
        steps = range(-_HALF, _HALF + 1)
        sizes = [best[0] * self._ratio ** (finer * i) for i in steps]
        inside = [s for s in sizes if self.sizes[0] <= s <= self.sizes[-1]]
        turned = [best[1] + degrees * i for i in steps] if self.angles else []
        return _products(inside, [a for a in turned if self.turns[0] <= a <= self.turns[1]])

    def look(self, grid: Sequence[Values]) -> Values:
        """Score a grid; the best of all so far."""
        self.tried += grid
        kernels = [self.shape.kernel(*values) for values in grid]
        self.parts.append(kernel_evidence(self.y, kernels, self.std, self.patch))
        return self.tried[int(together(self.parts).total.argmin())]

    def judged(self, best: Values) -> Estimate:
        """The best one, with its errors and doubts."""
        evidence, place = together(self.parts), self.tried.index(best)
        drawn = [self.tried[i] for i in evidence.resampled(_DRAWS).tolist()]
        spacing = best[0] * (self._ratio ** _NARROWING[-1] - 1)
        size = _spread([d[0] for d in drawn], spacing)
        errors = [math.hypot(size, self.shape.mistaken * best[0])]
        if self.angles:
            away = [(d[1] - best[1] + 90) % 180 - 90 for d in drawn]
            errors.append(_spread(away, _DEGREES[-1]))
        none = kernel_evidence(self.y, [_NO_BLUR], self.std, self.patch)
        gain, uncertain = together([evidence, none]).against(place, len(self.tried))
        doubt = self._doubt(best[0], errors[0], gain > _CERTAIN * uncertain)
        values = best if len(best) == 1 else (best[0], best[1] % 180)
        rounded = tuple(round(v, 3) for v in values)
        return Estimate(family=self.family, values=rounded, errors=tuple(errors), doubt=doubt)

    def _doubt(self, size: float, error: float, blurred: bool) -> str:
        name, least, most = self.shape.names[0], self.sizes[0], self.sizes[-1]
        if not blurred:
            return "no blur of this family explains it clearly better than none"
        if not 1.01 * least < size < 0.99 * most:
            return f"the best {name} is at the end of what was searched, {least:.3g} to {most:.3g}"
        if error > _TELLING * size:
            return f"its {name} could be off by {100 * error / size:.0f} %"
        return ""

    @property
    def _ratio(self) -> float:
        return self.sizes[1] / self.sizes[0] if len(self.sizes) > 1 else 1.1

    def _side(self, size: float) -> int:
        return max(self.shape.kernel(size, *self.angles[:1]).shape)


def _spread(values: Sequence[float], spacing: float) -> float:
    """Standard deviation of values on a grid; the grid's own rounding is part of it."""
    return math.hypot(float(torch.tensor(values, dtype=torch.float64).std()), spacing / 12**0.5)


def _products(sizes: Sequence[float], angles: Sequence[float]) -> list[Values]:
    return list(itertools.product(sizes, angles)) if angles else [(s,) for s in sizes]


def _check_start(family: str, start: Values) -> None:
    names = FAMILIES[family].names
    if start and (len(start) != len(names) or not 0 < start[0] < math.inf):
        raise ValueError(
            f"expected estimate:{family} or estimate:{':'.join((family, *names)).lower()}, with a "
            f"{names[0]} above 0, got {':'.join(f'{v:g}' for v in start)}"
        )


def _first_grid(shape: Family, start: Values) -> tuple[list[float], list[float]]:
    if not start:
        return list(shape.sizes), list(shape.angles)
    least = 1.0 if shape.angles else 0.3  # the shortest motion; smaller kernels are one pixel
    sizes = [s for s in _ratios(start[0] / 2, start[0] * 2, 16) if s >= least]
    angles = [start[1] + 10.0 * i for i in range(-3, 4)] if shape.angles else []
    return sizes, angles


def _check_limits(family: str, within: Sequence[tuple[float, float]]) -> None:
    names = FAMILIES[family].names
    fits = len(within) == len(names) and within[0][0] > 0 and all(a <= b for a, b in within)
    if within and not fits:
        form = ":".join((family, *(f"{name}..{name}" for name in names))).lower()
        said = ":".join(f"{least:g}..{most:g}" for least, most in within)
        raise ValueError(f"expected {form}, the smaller number first and above 0, got {said}")


def _grid_within(within: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    (least, most), *turns = within
    count = math.ceil(math.log(most / least) / math.log(_USUAL_RATIO)) + 1
    sizes = [least] if least == most else list(_ratios(least, most, max(count, 2)))
    angles = [torch.linspace(a, b, math.ceil((b - a) / _USUAL_TURN) + 1).tolist() for a, b in turns]
    return sizes, angles[0] if angles else []
