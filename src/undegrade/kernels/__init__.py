"""The kernels that a flag can name by a formula."""

import functools
import inspect
from collections.abc import Callable

from torch import Tensor

from undegrade.core.extensions import with_extensions
from undegrade.kernels.formulas import disk_psf, gaussian_psf, motion_psf

Formula = Callable[..., Tensor]
FORMULAS: dict[str, Formula] = {"motion": motion_psf, "gaussian": gaussian_psf, "disk": disk_psf}


@functools.cache
def formulas() -> dict[str, Formula]:
    """The formulas of this package, and those of the entry points `undegrade.kernels`.

    A formula takes numbers and gives a kernel (k k); a flag gives the arguments without a default.

    Raises:
        ValueError: an entry point takes a name that is taken, cannot be loaded, or is no function.
    """
    return with_extensions(FORMULAS, "undegrade.kernels", callable, "function")


def arguments(formula: Formula) -> tuple[str, ...]:
    """The numbers that a formula needs, as a flag writes them: ("LENGTH", "ANGLE")."""
    needed = inspect.signature(formula).parameters.values()
    return tuple(p.name.upper() for p in needed if p.default is p.empty)
