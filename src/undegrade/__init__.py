"""Restores images whose degradation is understood: y = φ(x) + η.

The public names stand in `__init__.pyi`, one line each. A name's file is loaded when the name is
first used, so that `undegrade --help` does not wait for torch.
"""

import difflib
import importlib.metadata
from typing import TYPE_CHECKING, Any

import lazy_loader

from undegrade.core.above import above

if TYPE_CHECKING:
    from torch import Tensor

    from undegrade.core.likelihood import Likelihood
    from undegrade.core.operator import Operator

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """A public name, loaded now; a misspelt one is told with the nearest.

    Raises:
        AttributeError: there is no such name.
    """
    if name in __all__:
        return _load(name)
    if name == "__version__":
        return importlib.metadata.version(__name__)
    near = difflib.get_close_matches(name, __all__, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise AttributeError(f"undegrade has no {name!r}{hint}", name=name)


def _identity() -> "Operator":
    from undegrade.operators.identity import Identity

    return Identity()


def _noise(y: "Tensor", operator: "Operator") -> "Likelihood":
    from undegrade.degradations.unknown_noise import unknown_noise

    return unknown_noise(y, operator)


above.fill(identity=_identity, noise=_noise)
