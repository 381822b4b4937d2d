"""The shipped network on blurs, low resolution and lost pixels, beside total variation.

    python -m benchmarks.learned_inverse [--tasks shake,levin] [--every 8] [--no-oracle]
        [--results NAME]

`tv` is `Variational` with the best of nine weights for every picture, chosen with the truth (an
oracle), `auto` the same with the weight it chooses by itself. Same noise draws in all columns.

* shake, resolution: the LGD project's protocols (21×21 kernels, σ 1–5, valid, scored where no
  border is involved; ×2 with 13×13 kernels, σ 1–5) on CBSD68;
* levin: the eight kernels of Levin et al. (2009), periodic, σ 2.55 and 7.65;
* kernels12: twelve kernels, ×2 ×3 ×4, periodic, no noise but rounding;
* f16: salt-and-pepper on 30, 50, 70 % of the entries;
* unseen: degradations that no training saw.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

import undegrade as ud
from benchmarks import table
from undegrade.degradations.kernel_file import read_kernel
from undegrade.degradations.random import Deblurring, SuperResolution, measured
from undegrade.likelihoods.rounding import rounded
from undegrade.metrics.distortion import psnr
from undegrade.restorers.recurrent_inference import RecurrentInference
from undegrade.restorers.variational import Variational

FACTORS = torch.logspace(-0.9, 0.5, 9).tolist()  # weights relative to the automatic one


class Trial(NamedTuple):
    """A measured picture, and how wide a frame is left out of its score."""

    name: str
    truth: Tensor
    measurement: ud.Measurement
    margin: int = 0


def pictures(data: Path, every: int) -> list[Tensor]:
    """Every n-th picture of CBSD68."""
    return [ud.read_image(p) for p in sorted((data / "cbsd68").glob("*.png"))[::every]]


def dice(i: int) -> torch.Generator:
    """The generator of picture i."""
    return torch.Generator().manual_seed(1000 + i)


def noisy(x: Tensor, operator: ud.Operator, std: float, i: int) -> ud.Measurement:
    """White noise on operator(x); without noise, rounding to 8 bits."""
    eta = ud.Gaussian(max(std, 0.5) / 255)
    y = operator(x)
    y = eta.sample(y, dice(i)) if std else rounded(y)
    return ud.Measurement(y, operator, eta)


def even(x: Tensor, factor: int) -> Tensor:
    """The picture cut to multiples of the factor."""
    h, w = (n // factor * factor for n in x.shape[-2:])
    return x[..., :h, :w]


def shake(data: Path, every: int) -> Iterator[Trial]:
    """LGD's deblurring."""
    for i, x in enumerate(pictures(data, every)):
        yield Trial("shake 21×21, σ 1–5", *measured(x, Deblurring(), dice(i)), 10)


def resolution(data: Path, every: int) -> Iterator[Trial]:
    """LGD's super-resolution."""
    for i, x in enumerate(pictures(data, every)):
        yield Trial("×2, 13×13, σ 1–5", *measured(x, SuperResolution(), dice(i)))


def kernels(path: Path, count: int) -> list[Tensor]:
    """All kernels of a .mat file."""
    return [read_kernel(f"{path}:{i}") for i in range(1, count + 1)]


def levin(data: Path, every: int) -> Iterator[Trial]:
    """Levin's kernels, periodic."""
    psfs = kernels(data / "kernels" / "Levin09.mat", 8)
    for std in (2.55, 7.65):
        for i, x in enumerate(pictures(data, every)):
            blur = ud.Blur(psfs[i % len(psfs)], "periodic")
            yield Trial(f"Levin, σ {std}", x, noisy(x, blur, std, i))


def kernels12(data: Path, every: int) -> Iterator[Trial]:
    """Classical super-resolution."""
    psfs = kernels(data / "kernels" / "kernels_12.mat", 12)
    for factor in (2, 3, 4):
        for i, x in enumerate(pictures(data, every)):
            x = even(x, factor)
            blur = ud.Blur(psfs[i % len(psfs)], "periodic")
            yield Trial(f"12 kernels, ×{factor}", x, noisy(x, ud.Downsample(factor) @ blur, 0.0, i))


def f16(data: Path, every: int) -> Iterator[Trial]:
    """Salt-and-pepper, whose entries give themselves away."""
    del every
    (path,) = [p for p in (data / "double_overparam").iterdir() if p.stem.lower().startswith("f16")]
    x = ud.read_image(path)
    for fraction in (0.3, 0.5, 0.7):
        eta = ud.SaltAndPepper(fraction)
        y = ud.Measurement(eta.sample(x, dice(0)), ud.Identity(), eta)
        yield Trial(f"F16, salt-and-pepper {fraction:.0%}", x, y)


def unseen(data: Path, every: int) -> Iterator[Trial]:
    """What no training saw."""
    for i, x in enumerate(pictures(data, every)):
        for peak in (30.0, 200.0):
            eta = ud.Poisson(peak)
            yield Trial(
                f"Poisson, peak {peak:.0f}",
                x,
                ud.Measurement(eta.sample(x, dice(i)), ud.Identity(), eta),
            )
        mask = ud.Mask(torch.rand(1, 1, *x.shape[-2:], generator=dice(i)) > 0.7)
        yield Trial("70 % missing", x, ud.Measurement(mask(x), mask, ud.Gaussian(0.5 / 255)))
        square = ud.Blur(torch.full((9, 9), 1 / 81), "reflect")
        yield Trial("9×9 box blur, reflect, σ 2", x, noisy(x, square, 2.0, i))
        x = even(x, 3)
        box = ud.Downsample(3) @ ud.Blur(torch.full((3, 3), 1 / 9), "replicate")
        yield Trial("×3 of block means, σ 1", x, noisy(x, box, 1.0, i))
        laplace = ud.Laplace(15 / 255)
        yield Trial(
            "Laplace noise",
            x,
            ud.Measurement(laplace.sample(x, dice(i)), ud.Identity(), laplace),
        )


TASKS: dict[str, Callable[[Path, int], Iterator[Trial]]] = {
    "shake": shake,
    "resolution": resolution,
    "levin": levin,
    "kernels12": kernels12,
    "f16": f16,
    "unseen": unseen,
}


def score(trial: Trial, x: Tensor) -> float:
    """PSNR inside the margin."""
    m = trial.margin
    inside = (..., slice(m, x.shape[-2] - m), slice(m, x.shape[-1] - m))
    return float(psnr(x[inside], trial.truth[inside]))


def scores(trial: Trial, learned: RecurrentInference, oracle: bool) -> dict[str, float]:
    """All columns of one trial."""
    automatic = Variational()
    x0 = trial.measurement.operator.initial(trial.measurement.y)
    weight = float(automatic.choose_weight(trial.measurement, x0))
    chosen = score(trial, replace(automatic, weight=weight).restore(trial.measurement).x)
    tv = [
        score(trial, replace(automatic, weight=f * weight).restore(trial.measurement).x)
        for f in (FACTORS if oracle else ())
    ]
    found = learned.restore(trial.measurement)
    return {
        "start": score(trial, x0),
        "auto": chosen,
        "tv": max(tv, default=math.nan),
        "learned": score(trial, found.x),
        "seconds": found.seconds,
    }


def main() -> None:
    """Run the tasks, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=table.DATA)
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--every", type=int, default=1, help="use every n-th picture of CBSD68")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--results", default="learned_inverse", help="name of the table")
    parser.add_argument("--oracle", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    learned = RecurrentInference(weights=options.weights)
    found: dict[str, list[dict[str, float]]] = {}
    for task in options.tasks.split(","):
        for trial in TASKS[task](options.data, options.every):
            found.setdefault(trial.name, []).append(scores(trial, learned, options.oracle))
        for name, rows in found.items():
            print(name, len(rows), {k: round(_mean(rows, k), 2) for k in rows[0]}, flush=True)
    columns = list(next(iter(found.values()))[0])
    rows = [
        {
            "degradation": name,
            "pictures": len(some),
            **{k: round(_mean(some, k), 2) for k in columns},
        }
        for name, some in found.items()
    ]
    command = f"python -m benchmarks.learned_inverse {' '.join(sys.argv[1:])}"
    table.write(options.results, command, rows)


def _mean(rows: list[dict[str, float]], key: str) -> float:
    return math.fsum(row[key] for row in rows) / len(rows)


if __name__ == "__main__":
    main()
