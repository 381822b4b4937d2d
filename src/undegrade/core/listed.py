"""What `help` and `dir` say of our classes: our words, not those of nn.Module."""

import abc
from typing import final

from torch import nn

_TORCH = frozenset(vars(nn.Module)) - {"forward"}


@final
class Listed(abc.ABCMeta):
    """The metaclass of what stands in the equation; lists only what we say of a class.

    The instances list all names, those of nn.Module too: see `all_names`.
    """

    def __dir__(cls) -> list[str]:
        return [name for name in super().__dir__() if name not in _TORCH]


def all_names(listed: list[str]) -> list[str]:
    """The names of an instance, with those of nn.Module."""
    return sorted({*listed, *dir(nn.Module)})
