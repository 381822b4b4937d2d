"""What the core asks of the rooms above it, which it must not import.

`undegrade/__init__.py` fills it in, and so before anything else of the package is imported.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from torch import Tensor

    from undegrade.core.likelihood import Likelihood
    from undegrade.core.operator import Operator


@final
class Above:
    """The defaults of a measurement, and how things look in a notebook."""

    identity: "Callable[[], Operator]"
    noise: "Callable[[Tensor, Operator], Likelihood]"
    html: Callable[[Any], str]

    def fill(
        self,
        *,
        identity: "Callable[[], Operator]",
        noise: "Callable[[Tensor, Operator], Likelihood]",
        html: Callable[[Any], str],
    ) -> None:
        """Set the functions.

        Arguments:
            identity: makes the operator of a picture that is only noisy.
            noise: estimates the noise of a measurement behind an operator.
            html: a result or a measurement as a notebook shows it.
        """
        self.identity, self.noise, self.html = identity, noise, html


above = Above()
