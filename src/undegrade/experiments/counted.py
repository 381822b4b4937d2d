"""Steps as they were taken."""

from typing import Any

from torch import Tensor

from undegrade.core.solver import Solver
from undegrade.core.stopping import State


def counted(solver: Solver[Any, Any]) -> "_Counted":
    """The same solver, whose `steps` grow by each one that it takes."""
    return _Counted(solver)


class _Counted:
    def __init__(self, solver: Solver[Any, Any]) -> None:
        self.solver, self.steps = solver, 0

    def init(self, problem: Any, x0: Tensor, near: State | None = None) -> Any:
        return self.solver.init(problem, x0, near)

    def step(self, problem: Any, state: Any) -> Any:
        self.steps += 1
        return self.solver.step(problem, state)
