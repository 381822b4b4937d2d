"""The discrete gradient of an image."""

import torch
from jaxtyping import Float
from torch import Tensor

from undegrade.core.image import Image
from undegrade.core.operator import LinearOperator


class FiniteDifference(LinearOperator):
    """∇: forward differences downwards and to the right; 0 across the far edges (Neumann).

    (∇x)[…, 0, i, j] = x[i+1, j] − x[i, j] and (∇x)[…, 1, i, j] = x[i, j+1] − x[i, j], shape
    (b, c, 2, h, w). ‖∇‖² ≤ 8, and ≤ 4 for a signal with h = 1; the adjoint is −div.

    References:
        Chambolle, An algorithm for total variation minimization and applications (2004), sec. 2.
    """

    def forward(self, x: Image) -> Float[Tensor, "b c 2 h w"]:
        down = torch.nn.functional.pad(x[..., 1:, :] - x[..., :-1, :], (0, 0, 0, 1))
        right = torch.nn.functional.pad(x[..., 1:] - x[..., :-1], (0, 1))
        return torch.stack((down, right), dim=2)

    def adjoint(self, y: Float[Tensor, "b c 2 h w"]) -> Image:
        down, right = y[:, :, 0, :-1, :], y[:, :, 1, :, :-1]
        pad = torch.nn.functional.pad
        return (
            pad(down, (0, 0, 1, 0))
            - pad(down, (0, 0, 0, 1))
            + pad(right, (1, 0))
            - pad(right, (0, 1))
        )

    def initial(self, y: Float[Tensor, "b c 2 h w"]) -> Image:
        """The running sum of the differences to the right: exact up to a constant per row."""
        return torch.nn.functional.pad(y[:, :, 1, :, :-1].cumsum(-1), (1, 0))
