"""What other packages add to the tables of this one, by entry points."""

import importlib.metadata
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")


def with_extensions(
    own: Mapping[str, T], group: str, fits: Callable[[object], bool], kind: str
) -> dict[str, T]:
    """A table of this package, and what installed packages add to it.

    A package adds a line with a line of its pyproject.toml:

        [project.entry-points."undegrade.restorers"]
        sharpen = "mypackage:Sharpen"

    Arguments:
        own: the table.
        group: of the entry points, such as undegrade.restorers.
        fits: whether a thing belongs in the table.
        kind: what does, in words that go on "is no …".

    Raises:
        ValueError: an entry point takes a name that is taken, cannot be loaded, or does not fit.
    """
    table = dict(own)
    for entry in importlib.metadata.entry_points(group=group):
        where = f"the entry point {entry.name} = {entry.value} of {group}"
        if entry.name in table:
            raise ValueError(f"{where} has a name that is taken")
        try:
            thing = entry.load()
        except (ImportError, AttributeError) as error:
            raise ValueError(f"{where} cannot be loaded: {error}") from error
        if not fits(thing):
            raise ValueError(f"{where} is no {kind}")
        table[entry.name] = thing
    return table
