"""The one-dimensional analytic deep prior: a 200×200 matrix learned from one measurement.

    python -m benchmarks.analytic_deep_prior_1d

min_B ½‖A x(B) − y‖², x(B) = argminₓ ½‖Bx − y‖² + 0.108‖x‖₁ + 0.0135‖x‖², from B = A; A a
convolution with a Gaussian (std 5) or integration; noise 0.005; double precision. L-BFGS with ten
remembered steps on the implicit hypergradient, the lower problem solved exactly by `ActiveSet`. The
loss is ½‖A x − y‖², the time processor time of one thread after a first evaluation that is not
counted. For each operator: when the loss comes within some factor of its last value.
"""

import math
import time

import torch
from torch import Tensor

from benchmarks.table import write
from undegrade.bilevel.hypergradient import Implicit
from undegrade.bilevel.lower_level import LowerLevel
from undegrade.bilevel.optimality import ProximalStep
from undegrade.bilevel.problem import Bilevel
from undegrade.core.objective import Fidelity, Objective
from undegrade.core.solver import solve
from undegrade.core.stopping import State, until
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.operators.dense import Dense
from undegrade.priors.elastic_net import ElasticNet
from undegrade.priors.tikhonov import Tikhonov
from undegrade.solvers.active_set import ActiveSet, inverse_hessian
from undegrade.solvers.lbfgs import LBFGS

N, NOISE = 200, 0.005
ALPHA_1, ALPHA_2 = 0.108, 0.027
FACTORS = (1.2, 1.05, 1.01)
JUMPS = ((-0.6, 1.0), (-0.5, -0.7), (0.0, -0.3), (0.2, 0.7), (0.5, -0.7))


def signal() -> Tensor:
    t = -1 + 0.01 * (torch.arange(N, dtype=torch.float64) + 0.5)
    return sum((jump * (t > at) for at, jump in JUMPS), torch.zeros_like(t))


def matrix(name: str) -> Tensor:
    if name == "integration":
        return 0.01 * torch.ones(N, N, dtype=torch.float64).tril()
    i = torch.arange(N, dtype=torch.float64)
    return torch.exp(-0.5 * ((i[:, None] - i) / 5) ** 2) / (5 * math.sqrt(2 * math.pi))


def measured(A: Tensor, seed: int = 0) -> Tensor:
    noise = torch.randn(N, dtype=A.dtype, generator=torch.Generator().manual_seed(seed))
    return (A @ signal() + NOISE * noise).reshape(1, 1, 1, N)


def problem(A: Tensor, y: Tensor) -> Objective[Bilevel, Tikhonov]:
    """The loss of B, and a penalty that weighs nothing."""

    def objective(theta: Tensor) -> Objective[Fidelity, ElasticNet]:
        return Objective(
            Fidelity(Dense(theta[0]), Gaussian(1.0), y), ElasticNet(ALPHA_2 / ALPHA_1), ALPHA_1
        )

    stop = until(iterations=100, residual=1e-10)
    begin = solve(ActiveSet(), objective(A[None]), torch.zeros_like(y), stop=stop).x
    lower = LowerLevel(
        objective=objective,
        solver=ActiveSet(),
        stop=stop,
        start=begin,
        optimality=ProximalStep(),
        precondition=inverse_hessian,
    )
    loss = Bilevel(Fidelity(Dense(A), Gaussian(1.0), y), lower, Implicit(tolerance=1e-6))
    return Objective(loss, Tikhonov(), 0.0)


class Clock:
    """Loss against processor time."""

    def __init__(self) -> None:
        self.began, self.rows = time.process_time(), list[tuple[float, float, int]]()

    def __call__(self, iteration: int, state: State) -> dict[str, Tensor]:
        self.rows.append((time.process_time() - self.began, float(state.value), iteration))
        return {}

    def reached(self, loss: float) -> tuple[float, int]:
        """Seconds and iterations until the loss is at most this."""
        return next(((s, i) for s, value, i in self.rows if value <= loss), (math.nan, 0))


def ours(A: Tensor, y: Tensor, iterations: int) -> Clock:
    bilevel = problem(A, y)
    bilevel.value_and_grad(A[None])
    clock = Clock()
    stop = until(iterations=iterations, residual=1e-9)
    solve(LBFGS(memory=10), problem(A, y), A[None], stop=stop, observe=[clock])
    return clock


def rows(name: str, clock: Clock) -> list[dict[str, object]]:
    seconds, loss, iterations = clock.rows[-1]
    table: list[dict[str, object]] = []
    for factor in FACTORS:
        at, iteration = clock.reached(factor * loss)
        table.append({"operator": name, "factor": factor, "s": round(at, 2), "steps": iteration})
    last = {"operator": name, "factor": f"end: {loss:.3e}", "s": round(seconds, 2)}
    return [*table, {**last, "steps": iterations}]


def main() -> None:
    torch.set_num_threads(1)
    table: list[dict[str, object]] = []
    for name in ("convolution", "integration"):
        A = matrix(name)
        table += rows(name, ours(A, measured(A), 150))
    write("analytic_deep_prior_1d", "python -m benchmarks.analytic_deep_prior_1d", table)


if __name__ == "__main__":
    main()
