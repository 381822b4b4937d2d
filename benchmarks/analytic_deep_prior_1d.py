"""The one-dimensional analytic deep prior: a 200×200 matrix learned from one measurement.

    python -m benchmarks.analytic_deep_prior_1d

min_B ½‖A x(B) − y‖², x(B) = argminₓ ½‖Bx − y‖² + 0.108‖x‖₁ + 0.0135‖x‖², from B = A; A a
convolution with a Gaussian (std 5) or integration; noise 0.005; double precision. The three methods
of `undegrade reproduce analytic-deep-prior-1d`, and the gradient steps of the papers. One loss
scale, ½‖A x − y‖²; time is processor time of one thread; lower iterations are those that were
taken: proximal gradient steps (LISTA, references) or Newton steps of `ActiveSet` (IFT, MAID).

The same problem has several local minima. The columns are seconds and lower iterations until the
loss is within 23 %, 11 % and 1 % of the least that any method found: at the authors' draw of the
noise their MAID ended 23 % and their IFT 11 % above their LISTA, after 3.1 s, 86 s and 203 s. The
references take steps of 0.02: at this scale of the loss the published 0.1 goes up.
"""

from collections.abc import Callable, Iterable
from itertools import islice

import torch

from benchmarks.analytic_deep_prior_reference import ift, lista
from benchmarks.table import write
from undegrade.experiments.analytic_deep_prior_1d import (
    ALPHA_1,
    ALPHA_2,
    OPERATORS,
    WAYS,
    Point,
    descended,
    matrix,
    measured,
)

FACTORS = (1.23, 1.11, 1.01)
REFERENCES: dict[str, tuple[Callable[..., Iterable[Point]], int]] = {
    "reference IFT": (ift, 300),
    "reference LISTA": (lista, 500),
}


def rows(name: str) -> list[dict[str, object]]:
    A = matrix(name)
    y = measured(A)
    runs = {method: descended(way, A, y) for method, way in WAYS.items()}
    for method, (reference, steps) in REFERENCES.items():
        runs[method] = list(islice(reference(A, y.flatten(), (ALPHA_1, ALPHA_2), steps), steps))
    least = min(point.loss for points in runs.values() for point in points)
    table = list[dict[str, object]]()
    for method, points in runs.items():
        row: dict[str, object] = {"operator": name, "method": method}
        for factor in FACTORS:
            at = next((p for p in points if p.loss <= factor * least), None)
            row[f"s to {factor:g}×"] = "" if at is None else round(at.seconds, 2)
            row[f"lower to {factor:g}×"] = "" if at is None else at.lower
        end = points[-1]
        last = {"end": f"{end.loss:.3e}", "steps": len(points), "s": round(end.seconds, 2)}
        table.append({**row, **last, "lower": end.lower})
        print(table[-1], flush=True)
    return table


def main() -> None:
    torch.set_num_threads(1)
    table = [row for name in OPERATORS for row in rows(name)]
    write("analytic_deep_prior_1d", "python -m benchmarks.analytic_deep_prior_1d", table)


if __name__ == "__main__":
    main()
