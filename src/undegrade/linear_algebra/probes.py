"""What a linear map tells when it is tried on one image: a bright pixel, or random signs."""

import torch

from undegrade.core.image import Image, Vector
from undegrade.linear_algebra.conjugate_gradient import Map


def impulse_response(linear: Map, like: Vector, size: tuple[int, int] | None = None) -> Image:
    """The answer to one bright pixel, on a periodic grid with that pixel at the origin.

    For a convolution that is its kernel. A map that returns fewer pixels than it takes is
    understood to lose as many on opposite sides.

    Arguments:
        linear: the map.
        like: an image of the shape, dtype and device that the map takes, (b, c, h, w).
        size: rows and columns of the grid, at least as many as `like` has, which is the default.
    """
    middle = like.shape[-2] // 2, like.shape[-1] // 2
    point = torch.zeros_like(like)
    point[..., middle[0], middle[1]] = 1
    answer = linear(point)
    lost = like.shape[-2] - answer.shape[-2], like.shape[-1] - answer.shape[-1]
    rows, columns = size or (like.shape[-2], like.shape[-1])
    wide = torch.nn.functional.pad(
        answer, (0, columns - answer.shape[-1], 0, rows - answer.shape[-2])
    )
    return wide.roll((lost[0] // 2 - middle[0], lost[1] // 2 - middle[1]), (-2, -1))


def random_signs(like: Vector, seed: int) -> Vector:
    """±1 with equal chance, the same for every sample of this size and at every call."""
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, like.shape[1:], generator=generator, dtype=torch.int8)
    return (2 * signs - 1).to(like).expand_as(like)
