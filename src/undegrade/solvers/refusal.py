"""What a solver cannot do, said before it begins."""

from typing import Any

from undegrade.core.functional import Functional, require_kind
from undegrade.core.image import Vector, followed
from undegrade.core.objective import Objective


def require_objective(
    method: str,
    problem: object,
    *,
    fidelity: tuple[type, str] = (Functional, ""),
    prior: tuple[type, str] = (Functional, ""),
) -> None:
    """For methods that need more of the two parts than their values.

    Arguments:
        method: its name.
        problem: what it is to solve.
        fidelity: the kind that it takes, and advice for who has another.
        prior: the same.

    Raises:
        ValueError: the problem is no `Objective`, or a part of it is of another kind.
    """
    if not isinstance(problem, Objective):
        found = type(problem).__name__
        raise ValueError(f"{method} solves an Objective(fidelity, prior, weight), got {found}")
    parts: Objective[Any, Any] = problem
    require_kind(method, "fidelity", parts.fidelity, *fidelity)
    require_kind(method, "prior", parts.prior, *prior)


def refuse_constraint(method: str, problem: Objective[Any, Any], advice: str) -> None:
    """For methods that would leave the set.

    Raises:
        ValueError: the problem has a constraint.
    """
    if problem.constraint is not None:
        kind = type(problem.constraint).__name__
        raise ValueError(f"{method} takes no constraint, got {kind}; {advice}")


def refuse_derivatives(method: str, problem: Functional, x: Vector, advice: str) -> None:
    """For methods that overwrite what a derivative through their steps would need.

    Raises:
        ValueError: x or a tensor of the problem takes part in differentiation.
    """
    if followed(x, *problem.parameters(), *problem.buffers()):
        raise ValueError(
            f"{method} gives no derivatives, but its start or problem asks for them; "
            f"solve under torch.no_grad(), or {advice}"
        )
