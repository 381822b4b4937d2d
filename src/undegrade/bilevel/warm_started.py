"""A solver of bilevel problems whose lower solves begin where the last ones ended."""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

from torch import Tensor

from undegrade.bilevel.hypergradient import Evaluation
from undegrade.bilevel.problem import Bilevel
from undegrade.core.functional import Functional
from undegrade.core.image import PerSample, Vector
from undegrade.core.objective import Objective
from undegrade.core.solver import Solver
from undegrade.core.stopping import State

Problem = Objective[Bilevel, Functional]


class WarmStartedState(NamedTuple):
    """The inner solver's state, with the lower solution and the value at its iterate."""

    inner: Any
    lower: Vector
    value: Tensor

    @property
    def x(self) -> Vector:
        """θ."""
        return self.inner.x

    @property
    def residual(self) -> PerSample:
        """The inner solver's."""
        return self.inner.residual


@final
@dataclass(frozen=True)
class WarmStarted:
    """A smooth solver on a bilevel problem, every lower solve from the last step's lower solution.

    The problem itself has no history: it is the state that carries the lower solution from one
    step to the next. With lower problems solved to their tolerance the iterates are those of the
    solver alone. How much time that saves is not measured yet.

    Arguments:
        solver: of smooth problems, such as `LBFGS()`.
    """

    solver: Solver[Any, Any]

    def init(self, problem: Problem, x0: Vector, near: State | None = None) -> WarmStartedState:
        del near  # its lower solution is another problem's
        watched = _Watched(problem.fidelity, problem.fidelity.lower.start)
        inner = self.solver.init(_with(problem, watched, x0), x0)
        return WarmStartedState(inner, watched.last.x, _total(problem, watched, inner.x))

    def step(self, problem: Problem, state: WarmStartedState) -> WarmStartedState:
        watched = _Watched(problem.fidelity, state.lower)
        inner = self.solver.step(_with(problem, watched, state.x), state.inner)
        return WarmStartedState(inner, watched.last.x, _total(problem, watched, inner.x))


def _total(problem: Problem, watched: "_Watched", x: Vector) -> Tensor:
    return watched.last.value + problem.weights(x) * problem.prior(x)


class _Watched(Functional):
    """A bilevel problem from a start of its own, and what was found at the last θ, for one step."""

    def __init__(self, bilevel: Bilevel, start: Vector) -> None:
        super().__init__()
        self.bilevel, self.last = bilevel, Evaluation(start, start, start)

    def forward(self, x: Tensor) -> PerSample:
        return self.value_and_grad(x)[0]

    def value_and_grad(self, x: Tensor) -> tuple[PerSample, Tensor]:
        self.last = self.bilevel.evaluate(x, self.last.x)
        return self.last.value, self.last.gradient


def _with(problem: Problem, watched: _Watched, x: Vector) -> Objective[_Watched, Functional]:
    return Objective(watched, problem.prior, problem.weights(x), problem.constraint)
