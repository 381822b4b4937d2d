"""What decided which solver `Variational` takes for blur and low resolution, on CBSD68.

    python -m benchmarks.solver_choice [--every N]

The objective is that of `Variational` at a weight of 0.3/std (1.1/std for denoising), on 256×256
pixels. A method stops by its own residual, at what `Variational` asks of it. `excess` is how far
its value then is above that of 300 iterations of L-BFGS with memory 6, relative to it; all figures
are means. Deblurring that wraps around has 25×25 camera shake and σ = 2.55; the others are the
tasks of `tv_protocols`.
"""

import argparse
import time

import torch

import undegrade as ud
from benchmarks import table
from benchmarks.tv_protocols import TASKS
from undegrade.core.solver import Solver
from undegrade.core.stopping import Stop

TOLERANCE = ud.Variational().tolerance


def wrapped(x: torch.Tensor, generator: torch.Generator) -> ud.Measurement:
    operator = ud.Blur(ud.camera_shake_psf(25, generator), "periodic")
    eta = ud.Gaussian(0.01)
    return ud.Measurement(eta.sample(operator(x), generator), operator, eta)


CASES = {**TASKS, "periodic 25×25": wrapped}


def solvers(task: str) -> dict[str, tuple[Solver, Stop]]:
    """The methods that are compared, each with its stopping rule in `Variational`."""
    gain = ud.until(iterations=1000, residual=TOLERANCE / 30, every=5)
    quasi_newton = {f"L-BFGS, memory {m}": (ud.LBFGS(memory=m), gain) for m in (1, 2, 3, 6)}
    if task != "periodic 25×25":
        return quasi_newton
    gap = ud.until(iterations=1000, residual=TOLERANCE / 2, every=5)
    return {
        "the preconditioned primal–dual method": (ud.PreconditionedPrimalDual(), gap),
        **quasi_newton,
    }


def problem(m: ud.Measurement, task: str, solver: Solver) -> tuple[ud.Objective, ud.Objective]:
    """The objective whose value is compared, and the same as the solver takes it."""
    weight = (1.1 if task.startswith("denoising") else 0.3) / m.likelihood.std
    objective = ud.Variational().objective(m, weight)
    if isinstance(solver, ud.LBFGS):
        return objective, objective
    squares = ud.LeastSquares(m.operator, m.y, m.likelihood.std)
    return objective, ud.Objective(squares, objective.prior, weight)


def run(m: ud.Measurement, task: str, solver: Solver, stop: Stop) -> tuple[int, float, float]:
    """Iterations, seconds and the value reached."""
    objective, taken = problem(m, task, solver)
    began = time.perf_counter()
    result = ud.solve(solver, taken, m.operator.initial(m.y), stop=stop)
    return result.iterations[0], time.perf_counter() - began, float(objective(result.x))


def rows_of(task: str, every: int) -> list[dict[str, object]]:
    found: dict[str, list[tuple[int, float, float]]] = {}
    for i, path in table.pictures("cbsd68", every):
        x = ud.read_image(path)[..., :256, :256]
        m = CASES[task](x, torch.Generator().manual_seed(1000 + i))
        long = ud.until(iterations=300, every=300)
        best = run(m, task, ud.LBFGS(memory=6), long)[2]
        for name, (solver, stop) in solvers(task).items():
            iterations, seconds, value = run(m, task, solver, stop)
            found.setdefault(name, []).append((iterations, seconds, value / best - 1))
    return [
        {
            "task": task,
            "solver": name,
            "iterations": round(table.mean([n for n, _, _ in runs])),
            "seconds": table.mean([s for _, s, _ in runs]),
            "excess": f"{table.mean([e for _, _, e in runs], 7):.0e}",
        }
        for name, runs in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=17)
    every = parser.parse_args().every
    rows = [row for task in CASES for row in rows_of(task, every)]
    table.write("solver_choice", f"python -m benchmarks.solver_choice --every {every}", rows)


if __name__ == "__main__":
    main()
