"""From what was measured to what was there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from undegrade.core.likelihood import Likelihood
from undegrade.core.operator import Operator
from undegrade.core.solver import Observer, Result


@dataclass(frozen=True)
class Measurement:
    """y = φ(x) + η: what was measured, and all that is known of how."""

    y: Tensor
    operator: Operator
    likelihood: Likelihood


@runtime_checkable
class Restorer(Protocol):
    """A complete method: every choice made, every number visible as a field."""

    def restore(
        self, measurement: Measurement, *, observe: Sequence[Observer] = ()
    ) -> Result[Any]: ...
