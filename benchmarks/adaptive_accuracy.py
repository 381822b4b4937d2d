"""What choosing its own accuracy saves MAID: quadratic problems, and the weight of total variation.

    python -m benchmarks.adaptive_accuracy

**Quadratic.** Upper ½‖A₁x − b₁‖², lower ½‖A₂x − A₃θ − b₂‖² + ½‖x‖²/κ, 20 unknowns each, both
Hessians and A₃ᵀA₃ of condition κ, five draws. Lower iterations until the true loss is within 1e-4
of its first distance from the least one. Fixed accuracies are the same descent (plain: steps that
grow, and a monotone search) with lower and adjoint problems that are always solved to ε = δ. A
ratio is that of mean counts.

**Total variation.** The weight of smoothed total variation for two 96×96 gray crops of each of four
pictures of BSDS500, σ = 25, learned by accelerated MAID, against the best of a grid (steps of 5 %)
by the PSNR of the same lower solutions.
"""

import math
import time
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

import undegrade as ud
from benchmarks.table import DATA, mean, write
from undegrade.metrics.luma import gray

SIDE, DRAWS, STEPS, STUCK, ENOUGH = 20, 5, 600, 80, 1e-4
STD = 25 / 255
CONDITIONS = (2, 5, 10, 20)
ACCURACIES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8)
PLAIN = ud.MAID(step_size=0.1, epsilon=1.0, delta=0.1)
FAST = replace(PLAIN, steps=ud.BarzilaiBorwein(), memory=0.85)


def matrix(condition: float, generator: torch.Generator, less: float = 0.0) -> Tensor:
    """A (n n), AᵀA + `less` of eigenvalues from 1 to 1/κ, evenly spaced in their logarithm."""
    u, v = (
        torch.linalg.qr(torch.randn(SIDE, SIDE, generator=generator, dtype=torch.float64))[0]
        for _ in range(2)
    )
    eigenvalues = torch.logspace(0, -math.log10(condition), SIDE, dtype=torch.float64)
    return u @ torch.diag((eigenvalues - less).clamp(min=0).sqrt()) @ v


class Quadratic(NamedTuple):
    """A bilevel problem of matrices, and the least and the first value of its loss."""

    objective: Any
    least: float
    first: float


def quadratic(condition: float, seed: int) -> Quadratic:
    generator = torch.Generator().manual_seed(seed)
    ridge = 1 / condition
    outer, inner, coupling = (matrix(condition, generator, less) for less in (0.0, ridge, 0.0))
    b1, b2 = (
        torch.randn(1, SIDE, generator=generator, dtype=torch.float64).reshape(1, 1, 1, -1)
        for _ in range(2)
    )

    def lower(theta: Tensor) -> Any:
        data = ud.Fidelity(ud.Dense(inner), ud.Gaussian(1.0), theta @ coupling.T + b2)
        return ud.Objective(data, ud.Tikhonov(), ridge)

    level = ud.LowerLevel(
        objective=lower,
        solver=ud.GradientDescent(),
        stop=ud.until(iterations=10_000, residual=1e-14),
        start=torch.zeros_like(b1),
    )
    upper = ud.Fidelity(ud.Dense(outer), ud.Gaussian(1.0), b1)
    problem = ud.Objective(
        ud.Bilevel(upper, level, ud.Implicit(tolerance=1e-12)), ud.Tikhonov(), 0.0
    )
    inverse = torch.linalg.solve(inner.T @ inner + ridge * torch.eye(SIDE), inner.T)
    map = outer @ inverse @ coupling
    rest = b1.flatten() - outer @ inverse @ b2.flatten()
    theta = torch.linalg.solve(map, rest)
    least = 0.5 * float((map @ theta - rest).square().sum())
    return Quadratic(problem, least, 0.5 * float(rest.square().sum()))


@dataclass(frozen=True)
class Fixed:
    """The same descent with accuracies that never change."""

    maid: ud.MAID
    accuracy: float

    def _fixed(self, state: Any) -> Any:
        accuracy = torch.full_like(state.epsilon, self.accuracy)
        sure = torch.ones_like(state.certified)
        return state._replace(epsilon=accuracy, delta=accuracy, certified=sure)

    def init(self, problem: Any, x0: Tensor, near: Any = None) -> Any:
        maid = replace(self.maid, epsilon=self.accuracy, delta=self.accuracy)
        return self._fixed(maid.init(problem, x0, near))

    def step(self, problem: Any, state: Any) -> Any:
        return self._fixed(self.maid.step(problem, state))


def spent(solver: Any, problem: Quadratic) -> float:
    """Lower iterations until the true loss is near its least value; infinite where it stays off."""
    x0 = torch.zeros(1, 1, 1, SIDE, dtype=torch.float64)
    state, goal = solver.init(problem.objective, x0), ENOUGH * (problem.first - problem.least)
    reached, since = math.inf, 0
    for _ in range(STEPS):
        state = solver.step(problem.objective, state)
        off = float(problem.objective(state.x)) - problem.least
        if off <= goal:
            return float(state.lower_iterations)
        reached, since = (off, 0) if off < 0.999 * reached else (reached, since + 1)
        if since > STUCK:
            return math.inf
    return math.inf


def counts(condition: float) -> dict[str, object]:
    problems = [quadratic(condition, seed) for seed in range(DRAWS)]
    found = {e: mean([spent(Fixed(PLAIN, e), p) for p in problems], 0) for e in ACCURACIES}
    reached = {e: n for e, n in found.items() if n < math.inf}
    best = min(reached, key=lambda e: reached[e])
    plain = mean([spent(PLAIN, p) for p in problems], 0)
    fast = mean([spent(FAST, p) for p in problems], 0)
    row: dict[str, object] = {
        "κ": condition,
        **{f"ε = {e:g}": n if n < math.inf else "not reached" for e, n in found.items()},
        "MAID": plain,
        "accelerated": fast,
        "MAID / best fixed": round(plain / reached[best], 2),
        "accelerated / best fixed": round(fast / reached[best], 2),
        "accelerated / 1e-4": round(fast / found[1e-4], 2),
    }
    print(row, flush=True)
    return row


def crops() -> Tensor:
    """(8 1 96 96), two crops of each of four training pictures."""
    paths = sorted((DATA / "bsds500" / "train").iterdir())[::50][:4]
    pictures = [gray(ud.read_image(path)) for path in paths]
    return torch.cat([x[..., t : t + 96, t : t + 96] for x in pictures for t in (60, 180)])


def weighed(x: Tensor, y: Tensor) -> Any:
    """log weight·std ↦ how far the minimizers for all crops are from the truth."""
    data = ud.LeastSquares(ud.Identity(), y, STD)

    def lower(theta: Tensor) -> Any:
        weight = theta[:, 0].exp().expand(len(y)) / STD
        return ud.Objective(data, ud.SmoothedTotalVariation("vectorial", 1e-4), weight)

    stop = ud.until(iterations=400, residual=1e-9)
    level = ud.LowerLevel(objective=lower, solver=ud.LBFGS(memory=3), stop=stop, start=y)
    error = ud.Fidelity(ud.Identity(), ud.Gaussian(STD * x.numel() ** 0.5), x)
    return ud.Objective(ud.Bilevel(error, level, ud.Implicit(tolerance=1e-6)), ud.Tikhonov(), 0.0)


def total_variation() -> dict[str, object]:
    x = crops()
    y = ud.Gaussian(STD).sample(x, torch.Generator().manual_seed(0))
    loss, begin = weighed(x, y), time.perf_counter()

    def quality(theta: Tensor) -> float:
        """PSNR of the mean squared error over all crops."""
        return -10 * math.log10(2 * STD**2 * float(loss(theta)))

    stop = ud.until(iterations=60, residual=1e-3)
    maid = ud.MAID(step_size=0.3, steps=ud.BarzilaiBorwein(), memory=0.85)
    found = ud.solve(maid, loss, torch.zeros(1, 1), stop=stop)
    seconds = time.perf_counter() - begin
    grid = {w: quality(torch.tensor([[math.log(w)]])) for w in (1.05**k for k in range(-30, 31))}
    best = max(grid, key=lambda w: grid[w])
    return {
        "weight by MAID, over σ": round(float(found.x.exp()), 3),
        "dB": round(quality(found.x), 3),
        "best of the grid": round(best, 3),
        "dB there": round(grid[best], 3),
        "‖gradient‖ certainly below": f"{float(found.state.residual):.1e}",
        "lower iterations": int(found.state.lower_iterations),
        "s": round(seconds, 1),
    }


if __name__ == "__main__":
    command = "python -m benchmarks.adaptive_accuracy"
    write("adaptive_accuracy", command, [counts(condition) for condition in CONDITIONS])
    write("adaptive_accuracy_weight", command, [total_variation()])
