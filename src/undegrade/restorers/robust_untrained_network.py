"""Restoration of pictures with gross sparse corruption of unknown kind."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, final

from undegrade.core.measurement import Measurement, require_measurement
from undegrade.core.objective import Fidelity
from undegrade.core.ranges import COUNT, POSITIVE, Range, check_ranges
from undegrade.core.solver import Observer, Result
from undegrade.core.stopping import until
from undegrade.learned.autocast_cell import Precision
from undegrade.machines.skip_drawing import Fitted, skip_drawing
from undegrade.networks.skip import Padding
from undegrade.restorers.continued import solve_continued
from undegrade.restorers.initial import first_estimate
from undegrade.restorers.robust_start import robust_start
from undegrade.restorers.untrained_network import watched
from undegrade.untrained.averaged import Averaged, AveragedState
from undegrade.untrained.difference_of_squares import HyperbolicMirror, rate_of_delay
from undegrade.untrained.double_overparametrization import DoubleOverparametrization
from undegrade.untrained.update_rule import Adam

_MAGNITUDE = 0.5  # corruption that the delay is given for: half of the range
_SCALE = 1e-5  # where g and h start, as published
_SETTLE = 1000.0  # steps until the rate of Adam has halved: the last picture is the result
# What the learned start misses by more is corruption from the beginning. At 96×96 pixels and 400
# iterations, 0.05 gains 0.6 dB under salt and pepper and loses 0.2 under random values, some of
# which are as near as that; 0.02 gains 0.3 dB under both.
_GROSS = 0.02

Begin = Literal["learned", "noise"]
_RATES: dict[Begin, float] = {"learned": 0.003, "noise": 0.01}


@final
@dataclass(frozen=True, kw_only=True)
class RobustUntrainedNetwork:
    """Double over-parameterization: takes out sparse corruption, told neither where nor what it is.

    A network draws the picture, g∘g − h∘h what is wrong with the measurement: salt and pepper,
    random values, dead lines, scratches, text. Neither fraction nor values are needed, and the
    likelihood is not used. It takes minutes. Fails where corruption is dense (noise on every pixel)
    or smooth, and flattens fine texture. Where corrupted entries give themselves away by their
    value, as salt and pepper in a file without compression does, `--salt-and-pepper` with another
    method is better and far quicker.

    References:
        You, Zhu, Qu and Ma, Robust recovery via implicit bias of discrepant learning rates for
        double over-parameterization (2020).

    Good values:
        the defaults. A longer delay takes less detail for corruption, and more time.

    Arguments:
        start: what the network begins with: learned, which it only corrects, is what the shipped
            learned method makes of the entries that do not contradict it; noise is the published
            method, a picture from nothing.
        delay: iterations until corruption of half the range is taken out.
        widths: channels of the network at each scale, from full resolution down.
        padding: how the network continues the picture beyond its border; zeros is fastest.
        iterations: how many; from noise 1000 or more.
        precision: that the network computes in; "auto" is bfloat16 where the device is made for it
            (AMX, AVX512-BF16 of AMD), in a third to a half of the time.
        fit: the weights of the network; or its code and normalization alone, at random weights
            (deep random projector).
        decay: how much of the average of pictures survives an iteration.
        seed: of the network's weights, its code and the noise on it.
        checkpoint: a file that the run is written to every two minutes, and that the same call
            goes on from after an interruption, or with more iterations.

    Raises:
        ValueError: `restore` where the network does not fit into memory, or the checkpoint belongs
        to another picture or other settings.
    """

    start: Begin = "learned"
    delay: Annotated[float, POSITIVE] = 200.0
    widths: tuple[int, ...] = (16, 32, 64, 128, 128)
    padding: Padding = "zeros"
    iterations: Annotated[int, COUNT] = 300
    precision: Precision = "auto"
    fit: Fitted = "weights"
    decay: Annotated[float, Range(0, 1)] = 0.99
    seed: int = 0
    checkpoint: Path | None = None

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def most_iterations(self) -> int:
        """As many as are asked for."""
        return self.iterations

    def restore(
        self, measurement: Measurement, *, observe: Sequence[Observer] = ()
    ) -> Result[AveragedState]:
        """The average picture; `result.parts["removed"]` is what was taken out."""
        require_measurement(measurement)
        guided = self.start == "learned"
        x0 = robust_start(measurement) if guided else first_estimate(measurement)
        drawing = skip_drawing(
            x0, self.widths, self.padding, self.seed, self.precision, guided=guided, fit=self.fit
        )
        rate = rate_of_delay(self.delay, _MAGNITUDE, _SCALE)
        sparse = HyperbolicMirror(
            rate=rate,
            scale=_SCALE,
            gross=_GROSS if guided else math.inf,
        )
        update = Adam(rate=_RATES[self.start], settle=_SETTLE)
        double = DoubleOverparametrization(drawing=drawing, update=update, sparse=sparse)
        solver = Averaged(solver=double, decay=self.decay)
        problem = Fidelity(measurement.operator, measurement.likelihood, measurement.y)
        stop, observe = until(iterations=self.iterations), (watched, *observe)
        result = solve_continued(solver, problem, x0, self.checkpoint, stop=stop, observe=observe)
        return replace(result, parts={"removed": result.state.inner.corruption})
