"""The shipped network on blurs, low resolution and lost pixels, beside total variation.

    python -m benchmarks.learned_inverse [--tasks shake,levin] [--every 8]
        [--columns start,auto,learned] [--gray] [--results NAME]

`tv` is `Variational` with the best of nine weights for every picture, chosen with the truth (an
oracle), `auto` the same with the weight it chooses by itself. Same noise draws in all columns. What
was computed before, with the same weights of the network, is read from `runs/learned_inverse`:
a run that was interrupted goes on, and several may share the work.

* shake, resolution: the LGD project's protocols (21×21 kernels, σ 1–5, valid, scored where no
  border is involved; ×2 with 13×13 kernels, σ 1–5) on CBSD68;
* levin: the eight kernels of Levin et al. (2009), periodic, σ 2.55 and 7.65;
* kernels12: twelve kernels, ×2 ×3 ×4, periodic, no noise but rounding, one kernel a picture;
* usrnet: all twelve for every picture, as Zhang, Van Gool and Timofte (2020) have it: the scene cut
  to multiples of the factor and 8, the blurred one in 8 bits, a frame of the square of the factor
  not scored; usrnet-noise: ×3 with noise of 2.55 and 7.65 after the rounding;
* dpir: all eight kernels of Levin for every picture of Set3C, Set5 and CBSD68, as Zhang et al.
  (2021) have it: cut to multiples of 8, the blurred one in 8 bits, noise after that;
* f16: salt-and-pepper on 30, 50, 70 % of the entries;
* unseen: degradations that no training saw.
"""

import argparse
import functools
import math
import sys
from collections.abc import Callable, Iterator, Sequence
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
from undegrade.metrics.luma import gray
from undegrade.restorers.recurrent_inference import (
    DENOISING,
    UNIVERSAL,
    WEIGHTS,
    RecurrentInference,
)
from undegrade.restorers.variational import Variational

FACTORS = torch.logspace(-0.9, 0.5, 9).tolist()  # weights relative to the automatic one


class Trial(NamedTuple):
    """A measured picture, and how wide a frame is left out of its score."""

    name: str
    truth: Tensor
    measurement: ud.Measurement
    margin: int = 0


class Source(NamedTuple):
    """Where pictures and kernels are, and which pictures: every n-th of CBSD68, or its luma."""

    data: Path
    every: int
    gray: bool = False

    def pictures(self) -> list[Tensor]:
        """In their order."""
        return [self.read(p) for p in sorted((self.data / "cbsd68").glob("*.png"))[:: self.every]]

    def read(self, path: Path) -> Tensor:
        """One of them."""
        x = ud.read_image(path)
        return gray(x) if self.gray else x


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


def shake(source: Source) -> Iterator[Trial]:
    """LGD's deblurring."""
    for i, x in enumerate(source.pictures()):
        yield Trial("shake 21×21, σ 1–5", *measured(x, Deblurring(), dice(i)), 10)


def resolution(source: Source) -> Iterator[Trial]:
    """LGD's super-resolution."""
    for i, x in enumerate(source.pictures()):
        yield Trial("×2, 13×13, σ 1–5", *measured(x, SuperResolution(), dice(i)))


def kernels(path: Path, count: int) -> list[Tensor]:
    """All kernels of a .mat file."""
    return [read_kernel(f"{path}:{i}") for i in range(1, count + 1)]


def levin(source: Source) -> Iterator[Trial]:
    """Levin's kernels, periodic."""
    psfs = kernels(source.data / "kernels" / "Levin09.mat", 8)
    for std in (2.55, 7.65):
        for i, x in enumerate(source.pictures()):
            blur = ud.Blur(psfs[i % len(psfs)], "periodic")
            yield Trial(f"Levin, σ {std}", x, noisy(x, blur, std, i))


def kernels12(source: Source) -> Iterator[Trial]:
    """Classical super-resolution."""
    psfs = kernels(source.data / "kernels" / "kernels_12.mat", 12)
    for factor in (2, 3, 4):
        for i, x in enumerate(source.pictures()):
            x = even(x, factor)
            blur = ud.Blur(psfs[i % len(psfs)], "periodic")
            yield Trial(f"12 kernels, ×{factor}", x, noisy(x, ud.Downsample(factor) @ blur, 0.0, i))


def published(x: Tensor, blur: ud.Blur, factor: int, std: float) -> tuple[Tensor, ud.Measurement]:
    """Scene and measurement of the published protocols; one draw of the noise for all pictures."""
    x = even(x, math.lcm(factor, 8))
    operator = ud.Downsample(factor) @ blur
    y = rounded(operator(x))
    eta = ud.Gaussian(max(std, 0.5) / 255)
    return x, ud.Measurement(eta.sample(y, dice(0)) if std else y, operator, eta)


def usrnet(
    source: Source, settings: Sequence[tuple[int, float]] = ((2, 0.0), (3, 0.0), (4, 0.0))
) -> Iterator[Trial]:
    """Classical super-resolution as it was published."""
    blurs = [
        ud.Blur(k, "periodic") for k in kernels(source.data / "kernels" / "kernels_12.mat", 12)
    ]
    for factor, std in settings:
        for x in source.pictures():
            for blur in blurs:
                name = f"USRNet's ×{factor}, σ {std}"
                yield Trial(name, *published(x, blur, factor, std), factor**2)


def dpir(source: Source) -> Iterator[Trial]:
    """Deblurring as it was published, on three folders."""
    blurs = [ud.Blur(k, "periodic") for k in kernels(source.data / "kernels" / "Levin09.mat", 8)]
    for std in (2.55, 7.65):
        for folder in ("set3c", "set5", "cbsd68"):
            for _, path in table.pictures(folder, source.every if folder == "cbsd68" else 1):
                for blur in blurs:
                    name = f"DPIR's {folder}, σ {std}"
                    yield Trial(name, *published(source.read(path), blur, 1, std))


def f16(source: Source) -> Iterator[Trial]:
    """Salt-and-pepper, whose entries give themselves away."""
    (path,) = [
        p for p in (source.data / "double_overparam").iterdir() if p.stem.lower().startswith("f16")
    ]
    x = source.read(path)
    for fraction in (0.3, 0.5, 0.7):
        eta = ud.SaltAndPepper(fraction)
        y = ud.Measurement(eta.sample(x, dice(0)), ud.Identity(), eta)
        yield Trial(f"F16, salt-and-pepper {fraction:.0%}", x, y)


def unseen(source: Source) -> Iterator[Trial]:
    """What no training saw."""
    for i, x in enumerate(source.pictures()):
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


TASKS: dict[str, Callable[[Source], Iterator[Trial]]] = {
    "shake": shake,
    "resolution": resolution,
    "levin": levin,
    "kernels12": kernels12,
    "usrnet": usrnet,
    "usrnet-noise": functools.partial(usrnet, settings=((3, 2.55), (3, 7.65))),
    "dpir": dpir,
    "f16": f16,
    "unseen": unseen,
}


def score(trial: Trial, x: Tensor) -> float:
    """PSNR inside the margin."""
    m = trial.margin
    inside = (..., slice(m, x.shape[-2] - m), slice(m, x.shape[-1] - m))
    return float(psnr(x[inside], trial.truth[inside]))


def by_total_variation(trial: Trial, factors: Sequence[float]) -> float:
    """The best PSNR of some weights relative to the automatic one.

    Increasing ones, that is, whose scores rise to the best and fall beyond it: it is climbed to
    from the one nearest to 1.
    """
    automatic, m = Variational(), trial.measurement
    weight = float(automatic.choose_weight(m, m.operator.initial(m.y)))

    @functools.cache
    def reached(i: int) -> float:
        if not 0 <= i < len(factors):
            return -math.inf
        return score(trial, replace(automatic, weight=factors[i] * weight).restore(m).x)

    at = min(range(len(factors)), key=lambda i: abs(math.log(factors[i])))
    while reached(side := max(at - 1, at + 1, key=reached)) > reached(at):
        at = side
    return reached(at)


def by_learned(trial: Trial, restorer: RecurrentInference) -> dict[str, float]:
    """PSNR and seconds."""
    found = restorer.restore(trial.measurement)
    return {"learned": score(trial, found.x), "seconds": found.seconds}


def columns(restorer: RecurrentInference) -> dict[str, Callable[[Trial], dict[str, float]]]:
    """What may stand in the table."""
    return {
        "start": lambda t: {
            "start": score(t, t.measurement.operator.initial(t.measurement.y)),
        },
        "auto": lambda t: {"auto": by_total_variation(t, [1.0])},
        "tv": lambda t: {"tv": by_total_variation(t, FACTORS)},
        "learned": lambda t: by_learned(t, restorer),
    }


def main() -> None:
    """Run the tasks, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=table.DATA)
    parser.add_argument("--tasks", default="shake,resolution,levin,kernels12,f16,unseen")
    parser.add_argument("--every", type=int, default=1, help="use every n-th picture of CBSD68")
    parser.add_argument("--gray", action="store_true", help="of the pictures' luma")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--results", default="learned_inverse", help="name of the table")
    parser.add_argument("--columns", default="start,auto,tv,learned")
    options = parser.parse_args()
    available = columns(RecurrentInference(weights=options.weights))
    suffix = "-gray.safetensors" if options.gray else ".safetensors"
    shipped = [WEIGHTS / f"{kind}{suffix}" for kind in (DENOISING, UNIVERSAL)]
    files = [options.weights] if options.weights else shipped
    known, tag = table.Known("learned_inverse"), table.version(files)
    source = Source(options.data, options.every, options.gray)
    found: dict[str, list[dict[str, float]]] = {}
    for task in options.tasks.split(","):
        for i, trial in enumerate(TASKS[task](source)):
            row = dict[str, float]()
            for column in options.columns.split(","):
                made = f" {tag}" if column == "learned" else ""
                key = f"{task}{' gray' * source.gray} {source.every} {i} {column}{made}"
                row |= known.of(key, functools.partial(available[column], trial))
            found.setdefault(trial.name, []).append(row)
        for name, rows in found.items():
            print(name, len(rows), {k: round(_mean(rows, k), 2) for k in rows[0]}, flush=True)
    rows = [
        {
            "degradation": name,
            "pictures": len(some),
            **{k: round(_mean(some, k), 2) for k in some[0]},
        }
        for name, some in found.items()
    ]
    command = f"python -m benchmarks.learned_inverse {' '.join(sys.argv[1:])}"
    table.write(options.results, command, rows)


def _mean(rows: list[dict[str, float]], key: str) -> float:
    return math.fsum(row[key] for row in rows) / len(rows)


if __name__ == "__main__":
    main()
