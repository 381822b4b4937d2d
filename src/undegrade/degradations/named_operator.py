"""Operators of other packages, as flags and descriptions name them: --operator NAME:NUMBERS."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass

from undegrade.core.extensions import with_extensions
from undegrade.core.operator import Operator
from undegrade.degradations.suggestion import did_you_mean

Shape = tuple[int, int, int]
"""Channels, height and width."""


def _same(shape: Shape) -> Shape:
    return shape


@dataclass(frozen=True, kw_only=True)
class OperatorKind:
    """What an entry point of the group `undegrade.operators` names.

    Arguments:
        build: from the shape (channels, height, width) of a picture and numbers to the operator on
            batches of such pictures. What is random in it comes from a seed of its own: a
            description holds the numbers alone. It raises a ValueError where they mean nothing.
        image_shape: from the shape of a measurement to that of the picture, which is the same
            by default.
    """

    build: Callable[..., Operator]
    image_shape: Callable[[Shape], Shape] = _same

    @property
    def arguments(self) -> tuple[str, ...]:
        """The numbers that the operator needs, as a flag writes them: ("BANDS", "SEED")."""
        _, *numbers = inspect.signature(self.build).parameters.values()
        return tuple(p.name.upper() for p in numbers if p.default is p.empty)


@functools.cache
def operators() -> dict[str, OperatorKind]:
    """The entry points `undegrade.operators`; those of this package have flags of their own.

    Raises:
        ValueError: an entry point takes a name twice, cannot be loaded, or is no `OperatorKind`.
    """
    return with_extensions(
        {},
        "undegrade.operators",
        lambda thing: isinstance(thing, OperatorKind),
        "OperatorKind",
    )


@dataclass(frozen=True)
class NamedOperator:
    """An operator of an installed package, known by its name and numbers.

    Raises:
        ValueError: no package adds the name; the numbers are not those that it needs.
    """

    name: str
    numbers: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        form = ":".join((self.name, *self._kind.arguments))
        if len(self.numbers) != len(self._kind.arguments):
            raise ValueError(f"expected the operator {form}, got {self}")

    def __str__(self) -> str:
        return ":".join((self.name, *(f"{n:g}" for n in self.numbers)))

    @property
    def _kind(self) -> OperatorKind:
        kinds = operators()
        if self.name not in kinds:
            known = ", ".join(kinds) or "none: no installed package adds one"
            hint = f"; {did_you_mean(self.name, kinds)}" if kinds else ""
            raise ValueError(f"operator must be one of {known}, got {self.name!r}{hint}")
        return kinds[self.name]

    def build(self, shape: Shape) -> Operator:
        """The operator on pictures of a shape.

        Raises:
            ValueError: it does not exist for the shape or the numbers.
        """
        return self._kind.build(shape, *self.numbers)

    def image_shape(self, measured: Shape) -> Shape:
        """The shape of the picture that a measurement is of."""
        return self._kind.image_shape(measured)
