"""Salt and pepper taken out untold: the picture experiments of You, Zhu, Qu and Ma (2020)."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch

from undegrade.core.image import Image, PerSample
from undegrade.core.measurement import Measurement, Restorer
from undegrade.core.solver import Result
from undegrade.core.stopping import State
from undegrade.experiments.experiment import Outcome, Piece, Row, picture_path
from undegrade.files.picture import read_image
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.salt_and_pepper import SaltAndPepper
from undegrade.metrics.distortion import psnr
from undegrade.operators.identity import Identity
from undegrade.restorers.recurrent_inference import RecurrentInference
from undegrade.restorers.robust_untrained_network import RobustUntrainedNetwork
from undegrade.restorers.untrained_network import UntrainedNetwork

PICTURES = ("F16", "Peppers", "Baboon", "kodim03")
FRACTIONS = (10, 30, 70)  # per cent; 50 is among the pictures
_POINTS = 60  # of a learning curve
_SHOWN = (0.1, 0.3, 1.0)  # shares of the iterations after which a picture is kept
_TOLD = "learned, told that black and white are lost"
_SHORTEST = 30.0  # delay in iterations: at 22 a step times corruption of 1 is 1, and it swings up


@dataclass(frozen=True)
class _Size:
    """How large an experiment is, and the minutes that it takes on two cores at most.

    Estimated from the time of an iteration; the smallest was run.
    """

    minutes: float
    side: int
    iterations: int
    widths: tuple[int, ...]


_SIZES = (
    _Size(0.0, 32, 20, (8, 16)),
    _Size(5.0, 64, 300, (16, 32, 64)),
    _Size(60.0, 128, 1000, (16, 32, 64, 128)),
    _Size(600.0, 256, 3000, (16, 32, 64, 128, 128)),
    _Size(6000.0, 512, 6000, (32, 64, 128, 128, 128)),
)


@final
@dataclass(frozen=True)
class DoubleOverparametrizationExperiment:
    """Figures 3 and 4: four pictures, half of their entries salt and pepper; 5: F16 by fraction.

    Deep image prior with squares and with absolute values, the latter also with the subgradient
    steps of Ding et al. (2021), double over-parameterization from noise and from the learned start,
    each with its last and its best iterate; and what the learned method does when it is told which
    entries are lost, which salt and pepper gives away.

    References:
        You, Zhu, Qu and Ma, Robust recovery via implicit bias of discrepant learning rates for
        double over-parameterization (2020), section 4.2.
    """

    def pieces(self, images: Path | None, minutes: float) -> Sequence[Piece]:
        """A row for every picture, fraction and method, at the largest size that fits."""
        size = max((s for s in _SIZES if s.minutes <= minutes), key=lambda s: s.minutes)
        cells = [("Figures 3 and 4", name, 50) for name in PICTURES]
        cells += [("Figure 5", "F16", percent) for percent in FRACTIONS]
        paths = {name: picture_path(images, name) for name in PICTURES}
        return [
            Piece(
                table=table,
                name=f"{name} {percent} % {method}",
                run=functools.partial(_run, size, paths[name], percent, method),
            )
            for table, name, percent in cells
            for method in (*_methods(size, None), _TOLD)
        ]

    def findings(self, rows: Mapping[str, Sequence[Row]]) -> Sequence[str]:
        """Where the last iterate of double over-parameterization holds what is claimed for it."""
        cells = dict[tuple[str, str], dict[str, Row]]()
        for row in (row for table in rows.values() for row in table):
            cells.setdefault((row["picture"], row["corrupted"]), {})[row["method"]] = row
        both = [c for c in cells.values() if {"DIP-L1", "DOP from noise", "DOP"} <= set(c)]
        if not both:
            return ()
        return tuple(
            f"{name}: the last iterate is at or above the best one of DIP-L1 (stopped by the truth)"
            f" in {sum(_decibels(c, name, 'last') >= _decibels(c, 'DIP-L1', 'best') for c in both)}"
            f" of {len(both)} cells."
            for name in ("DOP from noise", "DOP")
        )


def _decibels(cell: Mapping[str, Row], method: str, column: str) -> float:
    return float(cell[method][column])


def _methods(size: _Size, checkpoint: Path | None) -> dict[str, Any]:
    prior = UntrainedNetwork(
        widths=size.widths,
        iterations=size.iterations,
        patience=size.iterations,
        stopping="variance",  # never before the end: of a table of last and best iterates
        precision="auto",
        checkpoint=checkpoint,
    )
    double = RobustUntrainedNetwork(
        widths=size.widths, iterations=size.iterations, checkpoint=checkpoint
    )
    return {
        "DIP": replace(prior, loss="gaussian"),
        "DIP-L1": replace(prior, loss="laplace"),
        "DIP-L1, diminishing steps": replace(prior, loss="laplace", descent="diminishing"),
        "DOP from noise": replace(double, start="noise", delay=_delay(size.iterations)),
        "DOP": double,
    }


def _run(size: _Size, path: Path, percent: int, method: str, checkpoint: Path) -> Outcome:
    x = _center(read_image(path), size.side)
    likelihood = SaltAndPepper(percent / 100)
    y = likelihood.sample(x, torch.Generator().manual_seed(1))
    head = {
        "picture": path.stem,
        "pixels": f"{x.shape[2]}×{x.shape[3]}",
        "corrupted": f"{percent} %",
        "method": method,
    }
    if method == _TOLD:
        told = RecurrentInference().restore(Measurement(y, Identity(), likelihood)).x
        score = f"{float(psnr(told, x)):.2f}"
        row = head | {"iterations": "", "last": score, "best": "", "at": ""}
        return Outcome(row=row, pictures={"restored": told})
    restorer: Restorer = _methods(size, checkpoint)[method]
    return _watched(restorer, Measurement(y, Identity(), Gaussian(0.1)), x, size.iterations, head)


def _watched(
    restorer: Restorer, measurement: Measurement, x: Image, iterations: int, head: Row
) -> Outcome:
    """The outcome of a restoration, with its curve and the pictures along it."""
    curve, shown = list[tuple[int, float]](), dict[str, Image]()
    every = max(1, iterations // _POINTS)
    kept = {max(1, round(share * iterations)) for share in _SHOWN}

    def look(iteration: int, state: State) -> Mapping[str, PerSample]:
        if iteration % every == 0 or iteration == iterations:
            curve.append((iteration, float(psnr(state.x, x))))
        if iteration in kept:
            shown[f"iteration {iteration}"] = state.x
        return {}

    result: Result[Any] = restorer.restore(measurement, observe=(look,))
    last = float(psnr(result.state.x, x))
    at, best = max(curve, key=lambda point: point[1], default=(iterations, last))
    row = {
        **head,
        "iterations": str(iterations),
        "last": f"{last:.2f}",
        "best": f"{max(best, last):.2f}",
        "at": str(at),
    }
    pictures = {"corrupted": measurement.y, **shown}
    if isinstance(restorer, RobustUntrainedNetwork):
        removed = result.state.inner.corruption
        pictures["what was removed, 0 as gray"] = 0.5 + 0.5 * removed
    return Outcome(
        row=row,
        curves={f"PSNR in dB by iteration, {head['picture']} {head['corrupted']}": curve},
        pictures=pictures,
    )


def _center(x: Image, side: int) -> torch.Tensor:
    top, left = (max(math.floor((n - side) / 2), 0) for n in x.shape[2:])
    return x[..., top : top + side, left : left + side].contiguous()


def _delay(iterations: int) -> float:
    """Iterations until gross corruption is taken over: that of the method, less in short runs."""
    return min(max(iterations / 5, _SHORTEST), 200.0)
