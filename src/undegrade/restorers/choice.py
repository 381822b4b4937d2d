"""Methods that hand a measurement on to another one, and say so."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from undegrade.core.measurement import Measurement, Restorer


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A method by its name in the table, and why it was chosen, in words."""

    name: str
    restorer: Restorer
    reason: str


@runtime_checkable
class Choosing(Protocol):
    """A method that leaves some measurements to others."""

    def choose(self, measurement: Measurement) -> Choice | None:
        """Who restores the measurement in its place; None where it does so itself."""
        ...
