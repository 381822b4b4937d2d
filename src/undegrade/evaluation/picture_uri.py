"""A picture within a URI."""

import base64
import io
import math

import torch
from torch.nn import functional

from undegrade.core.image import Image


def data_uri(x: Image, pixels: int) -> str:
    """The first image as WebP, reduced by a whole factor until it has at most so many pixels."""
    from PIL import Image as Pillow

    factor = max(1, math.ceil(math.sqrt(x.shape[2] * x.shape[3] / pixels)))
    shown = functional.avg_pool2d(x, factor, ceil_mode=True) if factor > 1 else x
    samples = (shown[0].detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    samples = samples.permute(1, 2, 0).contiguous().numpy()
    file = io.BytesIO()
    image = Pillow.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)
    image.save(file, "WEBP", quality=92, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def crop_uri(x: Image, center: tuple[float, float], side: int) -> str:
    """A square of an image, in full resolution.

    Arguments:
        x: larger than the square.
        center: as fractions of width and height.
        side: of the square, in pixels.
    """
    height, width = x.shape[2:]
    left = min(max(round(center[0] * width - side / 2), 0), max(width - side, 0))
    top = min(max(round(center[1] * height - side / 2), 0), max(height - side, 0))
    return data_uri(x[:, :, top : top + side, left : left + side], side * side)
