"""Restoration by a recurrent inference machine that comes with the package."""

import copy
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, final

import torch
from torch import Tensor

from undegrade.core.gram import Gram
from undegrade.core.image import Image, PerSample, select
from undegrade.core.measurement import Measurement, require_measurement
from undegrade.core.objective import Fidelity
from undegrade.core.operator import Operator
from undegrade.core.ranges import Range, check_ranges
from undegrade.core.solver import Observer, Record, Result, solve
from undegrade.core.stopping import until
from undegrade.learned.autocast_cell import AutocastCell, Precision, computing_dtype
from undegrade.learned.least_squares_features import LeastSquaresFeatures
from undegrade.learned.quadratic_model import PROBE, SURROUNDINGS
from undegrade.learned.rim import RIM, RIMState
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.machines.decompression import ROUNDS, Decompression, decompression
from undegrade.machines.weight_file import load_weights
from undegrade.machines.windows import in_windows, interior_of
from undegrade.machines.working_measurement import (
    evenly_weighed,
    keeps_flat_pictures,
    working_measurement,
)
from undegrade.networks.tiled_cell import LocalCell, TiledCell
from undegrade.operators.identity import Identity
from undegrade.operators.turn import TURNS
from undegrade.restorers.initial import first_estimate
from undegrade.restorers.nominal import Nominal, nominal
from undegrade.restorers.shared_noise import is_gray, one_of, own_noise, separated

WEIGHTS = Path(__file__).parent / "weights"
DENOISING, UNIVERSAL = "denoising", "universal"
_BENT_ITERATIONS = 24  # most, of conjugate gradients in every move behind a non-linear operator
_PIECE = 1024  # pixels a side of the picture, larger than any kernel


@final
@dataclass(frozen=True, kw_only=True)
class RecurrentInference:
    """Learned descent: a few steps of a trained network that sees the likelihood's gradient.

    The best quality per second for photographs: 1 to 3 dB above `Variational` on noise, known blurs
    and missing pixels, 0.6 to 1.3 dB on low resolution. It fails for pictures unlike
    photographs. Behind an operator, noise that the channels of a picture in color share is first
    made independent, by more noise in the directions of color.

    A JPEG file is restored in rounds of noise removal, at the level that its rounded coefficients
    tell, each followed by what their intervals allow (`Decompression`).

    Where there is nothing but noise of less than 10 of 255, the steps are taken a second time, on a
    y that is changed a little, to tell how far the estimate may be believed.

    A non-linear operator, such as a camera's response on a picture that is encoded by it, is
    linearized about the estimate of every step. Where flat pictures do not stay as they are, as
    light that a response encodes, shipped weights see the linear measurement that this one is near
    the first estimate (`working_measurement`).

    References:
        Putzky and Welling, Recurrent inference machines for solving inverse problems (2017);
        docs/learned.md for the network.

    Good values:
        the defaults.

    Arguments:
        weights: a file that `train` wrote; by default one in the package, for color or for gray
            pictures: that for noise where there is nothing else and no entry is lost, the universal
            one otherwise.
        steps: how many; by default as many as in training. For blur, low resolution and lost
            pixels more may help a little: 8 gain 0.2 dB at ×4.
        tile: side, in pixels, of what is restored at once where the noise is the same everywhere
            and there is no operator, or a blur that does not wrap (then nothing is assumed past the
            border); elsewhere of what the network sees at once. Less needs less memory.
        precision: what the network computes in; "auto" is bfloat16 where the device is made for it
            (within 0.03 dB), float32 elsewhere. Operators never see it, nor does float64 data.
        ensemble: mean over so many ways to lay the picture down (mirrored, turned): the more, the
            slower and the better, by 0.1 to 0.2 dB.
        rounds: of `working_measurement` and restoration by shipped weights; 2 or 3 may help where x
            is linear light.

    Raises:
        ValueError: no round; `restore` of a picture with other than 1 or 3 channels, or with a file
            of weights that is none.
    """

    weights: Path | None = None
    steps: Annotated[int | None, Range(1, 1000)] = None
    tile: Annotated[int, Range(32, 100_000)] = 768
    precision: Precision = "auto"
    ensemble: Literal[1, 2, 4, 8] = 1
    rounds: Annotated[int, Range(1, 100)] = 1

    def __post_init__(self) -> None:
        check_ranges(self)

    def restore(
        self, measurement: Measurement, *, observe: Sequence[Observer] = ()
    ) -> Result[RIMState]:
        """The estimate after the last step, clipped to [0, 1], or to the picture's own range.

        Trace and state are those of the picture as it lies.
        """
        require_measurement(measurement)
        operator, y = measurement.operator, measurement.y
        if self.weights is None and not (operator.linear or keeps_flat_pictures(operator, y)):
            return self._by_rounds(measurement, observe)
        compressed = decompression(measurement) if self.weights is None else None
        if compressed is not None:
            return self._decompressed(compressed, observe)
        if self.weights is None:
            measurement = evenly_weighed(measurement, first_estimate)
            if (one := one_of(measurement)) is not None:
                return self._as_one(one, first_estimate(measurement), observe)
        path = shipped(measurement) if self.weights is None else self.weights
        modified = path.stat().st_mtime if path.exists() else 0.0
        rim = copy.deepcopy(_machine(path, modified, self.steps, self.tile)).to(measurement.y)
        rim = rim.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        rim = rim if self.weights is not None or operator.linear else _settling(rim)
        dtype = computing_dtype(self.precision, measurement.y.device)
        rim = rim.with_cell(AutocastCell(rim.cell, dtype))
        inside, colors = nominal(measurement), self.weights is None and path.stem == UNIVERSAL
        restored = self._of_color if colors else self._in_windows
        result = restored(rim, inside, inside.watching(observe))
        return replace(result, x=inside.back(result.x))

    def _as_one(self, one: Measurement, x0: Image, observe: Sequence[Observer]) -> Result[RIMState]:
        """Of one channel, for a picture whose channels are the same."""
        looks = [_seen_as(observer, lambda x: x.expand_as(x0)) for observer in observe]
        result = self.restore(one, observe=looks)
        return replace(result, x=result.x.expand_as(x0), x0=x0)

    def _in_windows(
        self, rim: RIM, inside: Nominal, observe: Sequence[Observer]
    ) -> Result[RIMState]:
        """In windows where the picture is large and a piece of y tells of a piece of it.

        A row of the trace is a window then, and x what is restored so far.
        """
        measurement, y, local = inside.measurement, inside.measurement.y, _local_cell(rim)
        large = max(y.shape[-2:]) > self.tile
        interior = self._interior(rim, measurement) if large and local is not None else None
        if local is None or interior is None:
            unbounded = None if self.weights is not None else measurement.operator.unbounded
            if unbounded is not None:
                return self._within_border(rim, inside, unbounded, observe)
            return self._mean(rim, inside, observe)

        whole_cell = rim.with_cell(AutocastCell(local, computing_dtype(self.precision, y.device)))

        def restore(part: Measurement) -> Result[RIMState]:
            return self._mean(whole_cell, replace(inside, measurement=part), ())

        reach = _reach(rim, local, interior, measurement)
        grid = math.lcm(local.divisor, PROBE)
        results = in_windows(measurement, interior, restore, self.tile, reach, grid)
        whole = next(results)
        trace = [_looked_at(whole, 1, observe)]
        for whole in results:
            trace.append(_looked_at(whole, len(trace) + 1, observe))
        return replace(whole, trace=tuple(trace))

    def _within_border(
        self, rim: RIM, inside: Nominal, unbounded: Operator, observe: Sequence[Observer]
    ) -> Result[RIMState]:
        """By what y tells of a larger picture, without the guess at what lies past the border.

        With it the moves ring there: up to 1.5 dB less in the outermost 12 rows.
        """
        measurement = inside.measurement
        x0, larger = first_estimate(measurement), unbounded.initial(measurement.y)
        (top, h), (left, w) = (
            ((n - m) // 2, m) for n, m in zip(larger.shape[-2:], x0.shape[-2:], strict=True)
        )

        def cropped(x: Tensor) -> Tensor:
            return x[..., top : top + h, left : left + w]

        free = replace(inside, measurement=replace(measurement, operator=unbounded))
        result = self._mean(rim, free, [_seen_as(observer, cropped) for observer in observe])
        state = replace(result.state, x=cropped(result.state.x))
        return replace(result, x=cropped(result.x), x0=x0, state=state)

    def _interior(self, rim: RIM, measurement: Measurement) -> Operator | None:
        """`interior_of` it; for weights of one's own where windows give what the whole gives."""
        interior = interior_of(measurement)
        if self.weights is None or interior is None:
            return interior
        complete = not _lost(interior, measurement) and bool((measurement.precision > 0).all())
        return interior if rim.features.local and complete else None

    def _of_color(self, rim: RIM, inside: Nominal, observe: Sequence[Observer]) -> Result[RIMState]:
        """By weights that saw three channels of independent noise, whatever the measurement has."""
        measurement = inside.measurement
        gray = is_gray(measurement)
        own = torch.where(gray, 0.0, own_noise(measurement))
        apart = replace(inside, measurement=separated(measurement, own))
        result = self._in_windows(rim, apart, observe)
        brightness = result.x.mean(1, keepdim=True).expand_as(result.x)
        return replace(result, x=select(gray, brightness, result.x))

    def _mean(self, rim: RIM, inside: Nominal, observe: Sequence[Observer]) -> Result[RIMState]:
        """The mean over the ensemble."""
        measurement = inside.measurement
        result = _finished(rim, measurement, observe)
        x, seconds = inside.clipped(result.x), result.seconds
        for turn in TURNS[1 : self.ensemble]:
            turned = replace(measurement, operator=measurement.operator @ turn)
            other = _finished(rim, turned, ())
            x, seconds = x + turn(inside.clipped(other.x)), seconds + other.seconds
        return replace(result, x=x / self.ensemble, seconds=seconds)

    def _by_rounds(self, measurement: Measurement, observe: Sequence[Observer]) -> Result[RIMState]:
        result = self.restore(
            working_measurement(measurement, first_estimate(measurement)), observe=observe
        )
        for _ in range(self.rounds - 1):
            again = self.restore(working_measurement(measurement, result.x))
            result = replace(again, seconds=result.seconds + again.seconds, trace=result.trace)
        return result

    def _decompressed(
        self, compressed: Decompression, observe: Sequence[Observer]
    ) -> Result[RIMState]:
        """Noise that is less every round, and after every round what the file allows."""
        x0, std = compressed.decoded, compressed.std
        *before, last = ROUNDS
        x, seconds = x0, 0.0
        for factor in before:
            result = self.restore(Measurement(x, Identity(), Gaussian(factor * std)))
            x, seconds = compressed.within(result.x), seconds + result.seconds
        result = self.restore(Measurement(x, Identity(), Gaussian(last * std)), observe=observe)
        x, seconds = compressed.within(result.x).clamp(0, 1), seconds + result.seconds
        return replace(result, x=x, x0=x0, seconds=seconds)


def _reach(rim: RIM, cell: LocalCell, interior: Operator, measurement: Measurement) -> int:
    """How far other entries of y tell of a pixel.

    A blur is undone from ever farther, ever less: beyond twice its kernel and what a step sees,
    windows differ from the whole by 0.8 gray levels (rms), as they do with four times that
    overlap, since solves in them stop elsewhere.
    """
    lost = _lost(interior, measurement)
    return cell.reach + 2 * lost if lost else rim.steps * cell.reach + SURROUNDINGS // 2


def _lost(interior: Operator, measurement: Measurement) -> int:
    """By how much larger a piece of the picture is than the piece of y that it makes."""
    piece = measurement.operator.initial(measurement.y)[..., :_PIECE, :_PIECE]
    made = interior(piece)
    return max(n - m for n, m in zip(piece.shape[-2:], made.shape[-2:], strict=True))


def _looked_at(whole: Result[RIMState], window: int, observe: Sequence[Observer]) -> Record:
    """A row of the trace: what observers see of the picture after a window."""
    values = dict[str, PerSample]()
    for look in observe:
        values.update(look(window, replace(whole.state, x=whole.x)))
    return Record(window, whole.seconds, values)


def _local_cell(rim: RIM) -> LocalCell | None:
    """The cell whose every output depends on a neighborhood, if it is one."""
    cell = rim.cell
    while isinstance(cell, AutocastCell | TiledCell):
        cell = cell.cell
    return cell if isinstance(cell, LocalCell) else None


def _seen_as(observer: Observer, seen: Callable[[Image], Image]) -> Observer:
    """The same observer of what the estimates are seen as."""

    def look(iteration: int, state: Any) -> Mapping[str, PerSample]:
        return observer(iteration, replace(state, x=seen(state.x)))

    return look


def restored_by(
    rim: RIM, measurement: Measurement, *, observe: Sequence[Observer] = ()
) -> Result[RIMState]:
    """All steps of a machine on a measurement, what its features finish with, clipped.

    The machine works in [0, 1], where the picture is brought from any other range. Clipped is to
    [0, 1] where the picture lies there, else to what the first estimate spans.

    The one way from a measurement to a learned estimate: the restorer, the validation of a training
    and the benchmarks go it. The machine must be where the measurement is.
    """
    inside = nominal(measurement)
    result = _finished(rim, inside.measurement, inside.watching(observe))
    return replace(result, x=inside.back(result.x))


@torch.no_grad()
def _finished(rim: RIM, measurement: Measurement, observe: Sequence[Observer]) -> Result[RIMState]:
    problem = Fidelity(measurement.operator, measurement.likelihood, measurement.y)
    stop = until(iterations=rim.steps)
    result = solve(rim, problem, first_estimate(measurement), stop=stop, observe=observe)

    def estimate(y: Tensor) -> Image:
        changed = Fidelity(measurement.operator, measurement.likelihood, y)
        return solve(rim, changed, first_estimate(replace(measurement, y=y)), stop=stop).x

    x = rim.features.finish(problem, result.state.prepared, result.x, estimate)
    return replace(result, x=x)


def shipped(measurement: Measurement) -> Path:
    """The weights in the package that are best for a measurement."""
    x = measurement.operator.initial(measurement.y)
    gray = "-gray" if x.shape[1] == 1 else ""
    return WEIGHTS / f"{kind_of_weights(measurement)}{gray}.safetensors"


def kind_of_weights(measurement: Measurement) -> str:
    """Whether there is nothing but noise, or anything else."""
    y, gram = measurement.y, measurement.operator.gram
    complete = bool((measurement.precision > 0).all())
    only_noise = gram is not None and complete and _is_one(gram, measurement.operator.initial(y))
    return DENOISING if only_noise else UNIVERSAL


def _settling(rim: RIM) -> RIM:
    """The same machine with as many conjugate gradient iterations as Jacobians ask for.

    Where noise is weak, six leave 1 to 2 dB behind a camera's response, which is no convolution.
    """
    features = rim.features
    if not isinstance(features, LeastSquaresFeatures):
        return rim
    settling = replace(features, cg_iterations=_BENT_ITERATIONS)
    return RIM(rim.cell, settling, rim.parametrization, colors=rim.colors, steps=rim.steps)


def _is_one(gram: Gram, x: Image) -> bool:
    """Whether AᵀA is the identity."""
    # the transforms of other libraries leave 1e-4 and less
    return bool((gram.least(x) > 0.999).all() and (gram.largest(x) < 1.001).all())


@functools.lru_cache(maxsize=2)
def _machine(path: Path, modified: float, steps: int | None, tile: int) -> RIM:
    """The machine of a file, for so many steps, its cell in tiles."""
    del modified  # only tells one version of the file from the next
    rim = load_weights(path)[0]
    if steps is not None:
        rim = rim.with_steps(steps)
    return rim.with_cell(TiledCell(rim.cell, tile)) if isinstance(rim.cell, LocalCell) else rim
