"""The three tasks of learned gradient descent's protocol by total variation, on CBSD68.

    python -m benchmarks.tv_protocols [--every N]

Denoising at σ = 25 (8-bit), deblurring with random 21×21 camera shake and σ from 1 to 5 (valid
convolution), ×2 super-resolution with random anisotropic 13×13 kernels and σ from 1 to 5. Each with
the automatic weight, and with the best of a grid against the truth; both solvers minimize the very
same objective, and `gap` is the largest relative difference of the values that they end with.
"""

import argparse
import time

import torch

import undegrade as ud
from benchmarks import table
from undegrade.degradations.random import (
    Deblurring,
    Denoising,
    RandomDegradation,
    SuperResolution,
    measured,
)

FACTORS = (0.25, 0.35, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0)
TASKS: dict[str, RandomDegradation] = {
    "denoising 25": Denoising(std=(25 / 255, 25 / 255), bits=8),
    "deblurring 21×21": Deblurring(size=21),
    "super-resolution ×2": SuperResolution(factor=2, size=13),
}
NEARBY = ud.Box(-1.0, 2.0)


def truth_part(
    x: torch.Tensor, y: torch.Tensor, restored: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Both images where a valid convolution saw them; all of them otherwise."""
    lost = (x.shape[2] - y.shape[2]) // 2 if 0 < x.shape[2] - y.shape[2] < 40 else 0
    inside = (..., slice(lost, x.shape[2] - lost), slice(lost, x.shape[3] - lost))
    return restored[inside], x[inside]


def solved(
    solver: str, m: ud.Measurement, weight: torch.Tensor
) -> tuple[torch.Tensor, float, float]:
    """The image, its value of the common objective, and the seconds it took."""
    objective = ud.Variational().objective(m, weight)
    x0, began = m.operator.initial(m.y), time.perf_counter()
    if solver == "L-BFGS":
        stop = ud.until(iterations=3000, residual=1e-7, every=10)
        x = ud.solve(ud.LBFGS(), objective, x0, stop=stop).x
    else:
        dual = ud.dualize(objective, x0, NEARBY)
        if isinstance(m.operator, ud.Identity):
            squares = ud.LeastSquares(m.operator, m.y, m.likelihood.std)
            dual = ud.Objective(squares, objective.prior, weight)
        stop = ud.until(iterations=1000, every=1000)  # its gap has no tight bound here
        x = ud.solve(ud.PrimalDual(), dual, x0, stop=stop).x
    return x, float(objective(x)), time.perf_counter() - began


def rows_of(task: str, every: int) -> list[dict[str, object]]:
    scores: dict[str, dict[str, list[float]]] = {"L-BFGS": {}, "primal–dual": {}}
    gaps: list[float] = []
    for i, path in table.pictures("cbsd68", every):
        x = ud.read_image(path)[..., :320, :480]
        x, m = measured(x, TASKS[task], torch.Generator().manual_seed(1000 + i))
        began = time.perf_counter()
        weight = ud.Variational().choose_weight(m, m.operator.initial(m.y))
        choosing, values = time.perf_counter() - began, []
        grid = [ud.Variational(weight=float(weight) * f).restore(m).x for f in FACTORS]
        psnrs = [table.score(*truth_part(x, m.y, restored)) for restored in grid]
        best = weight * FACTORS[psnrs.index(max(psnrs))]
        for solver, columns in scores.items():
            for name, w in (("automatic", weight), ("oracle", best)):
                restored, value, seconds = solved(solver, m, w)
                found = table.score(*truth_part(x, m.y, restored))
                columns.setdefault(name, []).append(found)
                values.append(value)
            columns.setdefault("seconds", []).append(seconds)
            columns.setdefault("choosing", []).append(choosing)
        gaps += [abs(values[0] / values[2] - 1), abs(values[1] / values[3] - 1)]
        print(
            task, path.name, {k: round(v[-1], 2) for k, v in columns.items()}, gaps[-2:], flush=True
        )
    return [
        {
            "task": task,
            "pictures": len(gaps) // 2,
            "solver": solver,
            **{name: table.mean(values) for name, values in columns.items()},
            "gap": f"{max(gaps):.1e}",
        }
        for solver, columns in scores.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=8)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    options = parser.parse_args()
    every = options.every
    rows = [row for task in options.tasks for row in rows_of(task, every)]
    table.write("tv_protocols", f"python -m benchmarks.tv_protocols --every {every}", rows)


if __name__ == "__main__":
    main()
