"""The kernel and the boundary of an operator that is a convolution, whoever it is."""

from typing import get_args

import torch
from torch import Tensor

from undegrade.core.image import Image, norm
from undegrade.core.operator import LinearOperator, Operator
from undegrade.linear_algebra.probes import impulse_response
from undegrade.operators.blur import Blur
from undegrade.operators.padding import Boundary

_SILENT = 1e-6  # of the largest entry: what is rounding of a kernel that was transformed
_ALIKE = 1e-3  # relative difference of results up to which two operators are one


def blur_of(operator: Operator, x: Image, purpose: str) -> Blur:
    """The blur that does what the operator does, found by asking it.

    Arguments:
        operator: what happened to the picture.
        x: an image of the shape that it takes.
        purpose: what needs a blur, for the message.

    Raises:
        ValueError: it is no convolution of pictures with one kernel.
    """
    linear = operator.as_linear(purpose)
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(x.shape, generator=generator).to(x)
    answer = linear(noise)
    psf = _kernel(linear, x) if answer.ndim == 4 else None
    if psf is not None:
        for boundary in get_args(Boundary):
            blur = Blur(psf, boundary)
            if _fits(psf, x) and _alike(blur, noise, answer):
                return blur
    raise ValueError(f"{purpose}: expected a blur, got a degradation that is no convolution")


def _kernel(linear: LinearOperator, x: Image) -> Tensor | None:
    """(b|1 c|1 kh kw), as far as pictures and channels differ; None where it reaches too far."""
    response = impulse_response(linear, x)
    h, w = response.shape[-2:]
    if not bool(response.any()):
        return None
    middle = response.roll((h // 2, w // 2), (-2, -1))
    loud = middle.abs() > _SILENT * middle.abs().max()
    rows, columns = loud.any(3).flatten(0, 1).any(0), loud.any(2).flatten(0, 1).any(0)
    reach = [int((line.nonzero() - n // 2).abs().max()) for line, n in ((rows, h), (columns, w))]
    top, left = h // 2 - reach[0], w // 2 - reach[1]
    if top < 0 or left < 0 or h // 2 + reach[0] >= h or w // 2 + reach[1] >= w:
        return None
    psf = middle[..., top : top + 2 * reach[0] + 1, left : left + 2 * reach[1] + 1].clone()
    for dim in (0, 1):
        first = psf.narrow(dim, 0, 1)
        if bool(((psf - first).abs() <= _SILENT * psf.abs().max()).all()):
            psf = first
    return psf


def _fits(psf: Tensor, x: Image) -> bool:
    return psf.shape[-2] <= x.shape[-2] and psf.shape[-1] <= x.shape[-1]


def _alike(blur: Blur, x: Image, answer: Tensor) -> bool:
    found = blur(x)
    return found.shape == answer.shape and bool(
        (norm(found - answer) <= _ALIKE * norm(answer)).all()
    )
