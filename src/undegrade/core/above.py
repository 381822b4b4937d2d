"""What the core asks of the rooms above it, which it must not import.

`undegrade/__init__.py` fills it in, and so before anything else of the package is imported.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from torch import Tensor

    from undegrade.core.likelihood import Likelihood
    from undegrade.core.operator import Operator


@final
class Above:
    """The defaults of a measurement."""

    identity: "Callable[[], Operator]"
    noise: "Callable[[Tensor, Operator], Likelihood]"

    def fill(
        self,
        *,
        identity: "Callable[[], Operator]",
        noise: "Callable[[Tensor, Operator], Likelihood]",
    ) -> None:
        """Set both functions.

        Arguments:
            identity: makes the operator of a picture that is only noisy.
            noise: estimates the noise of a measurement behind an operator.
        """
        self.identity, self.noise = identity, noise


above = Above()
