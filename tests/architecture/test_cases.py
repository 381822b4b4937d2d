"""Nothing escapes the laws: every class that claims a role has a case in tests/cases.py."""

import pytest

from tests.architecture.test_shape import _classes, _open
from tests.cases import (
    BILEVEL,
    BILEVEL_SOLVERS,
    FUNCTIONALS,
    LEARNED,
    LIKELIHOODS,
    OPERATORS,
    SOLVERS,
    UNTRAINED,
    WARM_STARTED,
)
from undegrade.core.functional import Functional
from undegrade.core.likelihood import Likelihood
from undegrade.core.measurement import Restorer
from undegrade.core.operator import Operator
from undegrade.core.solver import Solver
from undegrade.likelihoods.categorical import Categorical
from undegrade.restorers import RESTORERS
from undegrade.restorers.synthesis import Synthesis

HELD = {
    Operator: {type(m) for case in OPERATORS.values() for m in case.operator.modules()},
    # labels are no noise: tests/likelihoods/test_categorical.py has the laws of their likelihood
    Likelihood: {type(case.likelihood) for case in LIKELIHOODS.values()} | {Categorical},
    Functional: {type(m) for case in FUNCTIONALS.values() for m in case.functional.modules()}
    | {type(case.problem) for case in BILEVEL.values()},
    Solver: {type(case.solver) for case in (*SOLVERS.values(), *UNTRAINED.values())}
    | {type(s) for s in (*LEARNED.values(), *BILEVEL_SOLVERS.values(), *WARM_STARTED.values())},
    # `undegrade synthesize` has a command of its own: a label map is no picture to restore
    Restorer: set(RESTORERS.values()) | {Synthesis},
}


@pytest.mark.parametrize("role", HELD, ids=lambda role: role.__name__)
def test_every_class_has_a_case(role: type) -> None:
    if role is Solver:
        claim = {c for c in _classes() if {"init", "step"} <= set(vars(c))}
    elif role is Restorer:
        claim = {c for c in _classes() if "restore" in vars(c)}
    else:
        claim = {c for c in _classes() if issubclass(c, role)}
    final = {c for c in claim if not _open(c) and not c.__name__.startswith("_")}
    assert final
    assert {c.__qualname__ for c in final - HELD[role]} == set()
