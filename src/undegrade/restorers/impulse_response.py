"""The kernel of an operator that is a convolution, found by asking it."""

import torch
from torch import Tensor

from undegrade.core.image import Image, norm
from undegrade.core.operator import Operator


def impulse_response(operator: Operator, like: Image, size: tuple[int, int]) -> Tensor:
    """The answer to a single bright pixel, on a periodic grid with that pixel at the origin.

    That the operator is a convolution is tested on a random image in the middle of the frame,
    where no boundary matters; kernels reach at most a quarter of the frame.

    Arguments:
        operator: what to ask.
        like: an image of the shape, dtype and device that the operator takes, (b, c, h, w).
        size: the grid, at least as large as the image.

    Raises:
        ValueError: the operator is no convolution.
    """
    b, c, h, w = like.shape
    point, test = torch.zeros_like(like), torch.zeros_like(like)
    point[..., h // 2, w // 2] = 1
    generator = torch.Generator().manual_seed(0)
    middle = test[..., h // 4 : h - h // 4, w // 4 : w - w // 4]
    signs = torch.randint(0, 2, middle.shape[1:], generator=generator)
    middle.copy_(2 * signs - 1)
    answer = operator(point)
    lost = h - answer.shape[-2], w - answer.shape[-1]
    if answer.shape[:2] != (b, c) or min(lost) < 0 or lost[0] % 2 or lost[1] % 2:
        raise _refusal(operator)
    kernel = _placed(answer, size).roll((lost[0] // 2 - h // 2, lost[1] // 2 - w // 2), (-2, -1))
    expected = torch.fft.irfft2(
        torch.fft.rfft2(kernel) * torch.fft.rfft2(_placed(test, size)), s=size
    )
    seen = operator(test)
    expected = expected[..., lost[0] // 2 : h - lost[0] // 2, lost[1] // 2 : w - lost[1] // 2]
    if bool((norm(seen - expected) > 1e-3 * norm(seen)).any()):
        raise _refusal(operator)
    return kernel


def _placed(x: Tensor, size: tuple[int, int]) -> Tensor:
    """x in the corner of a larger black frame."""
    return torch.nn.functional.pad(x, (0, size[1] - x.shape[-1], 0, size[0] - x.shape[-2]))


def _refusal(operator: Operator) -> ValueError:
    return ValueError(
        f"the Wiener filter needs a blur or no operator at all, got {type(operator).__name__}; "
        "use the variational or the quadratic method"
    )
