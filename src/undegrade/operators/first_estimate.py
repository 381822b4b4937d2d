"""Where to start when an operator's columns are no averages of pixels."""

import torch
from torch import Tensor

from undegrade.core.image import Image, norm, per_sample
from undegrade.core.operator import LinearOperator


def steepest_descent_from_zero(operator: LinearOperator, y: Tensor) -> Image:
    """t Aᵀy with the t that minimizes ‖A(t Aᵀy) − y‖."""
    descent = operator.adjoint(y)
    tiny = torch.finfo(y.dtype).tiny
    step = norm(descent).square() / norm(operator(descent)).square().clamp(min=tiny)
    return per_sample(step, descent) * descent
