"""A blur in the words of the command line."""

import math
from pathlib import Path

import torch
from torch import Tensor

from undegrade.degradations.kernel_file import read_kernel_file
from undegrade.degradations.kernel_repair import Repaired
from undegrade.degradations.suggestion import did_you_mean
from undegrade.kernels import arguments, formulas
from undegrade.kernels.camera_shake import camera_shake_psfs
from undegrade.kernels.reduction import REDUCTIONS, reduction_psf

ESTIMATE = "estimate"  # a blur of a family, its parameters to be told by the picture
_LARGEST = 255  # pixels per side of a kernel given by a formula
_REACH = {"motion": 1.0, "gaussian": 6.0, "disk": 2.0}  # width of a kernel over its first number
_BLURS = (
    "motion:LENGTH:ANGLE, gaussian:STD, disk:RADIUS, shake:SIZE, bicubic or area (with "
    "--downsample) or a kernel file (.npy, .mat), or estimated, as estimate:disk"
)


def kernel_of(
    text: str, count: int, generator: torch.Generator | None, factor: int | None = None
) -> Repaired:
    """The kernel that words or a file give, and what was done to the file's.

    Arguments:
        text: the words.
        count: of random kernels.
        generator: of random kernels; without one they are refused.
        factor: of the reduction that bicubic and area are the kernels of.

    Raises:
        ValueError: the words mean nothing; the file holds no kernel.
    """
    kind, *numbers = text.split(":")
    if kind == ESTIMATE or is_range(text):
        raise ValueError(f"{text} needs a blurred picture that tells: only `restore` takes it")
    if kind == "shake":
        return Repaired(_shake(text, numbers, count, generator), ())
    if text in REDUCTIONS:
        if factor is None:
            raise ValueError(f"the blur {text} is that of a reduction: give --downsample too")
        return Repaired(reduction_psf(text, factor), ())
    if kind not in formulas():
        return _from_file(text)
    formula = formulas()[kind]
    names = arguments(formula)
    form = ":".join((kind, *names))
    if len(numbers) != len(names):
        raise ValueError(f"expected the blur as {form}, got {text!r}")
    values = [number(n, form, text) for n in numbers]
    if values[0] * _REACH.get(kind, 1.0) > _LARGEST:
        raise ValueError(f"a kernel has at most {_LARGEST} pixels per side, got the blur {text!r}")
    return Repaired(formula(*values), ())


def is_range(blur: str) -> bool:
    """Whether a blur is a formula with a range of numbers, such as disk:3..6."""
    kind, _, numbers = blur.partition(":")
    return kind in formulas() and ".." in numbers


def _shake(text: str, numbers: list[str], count: int, generator: torch.Generator | None) -> Tensor:
    if len(numbers) != 1 or not numbers[0].isdecimal() or int(numbers[0]) > _LARGEST:
        raise ValueError(
            f"expected the blur as shake:SIZE, an odd number up to {_LARGEST}, got {text!r}"
        )
    if generator is None:
        raise ValueError(
            f"the kernel of {text!r} is random: give the description that was written with the "
            f"picture, or a kernel file"
        )
    return camera_shake_psfs(count, int(numbers[0]), generator)


def _from_file(text: str) -> Repaired:
    if not Path(text).suffix:
        hint = did_you_mean(text.partition(":")[0], (*formulas(), *REDUCTIONS, "shake"))
        raise ValueError(
            f"a blur can be undone where its kernel is known, as {_BLURS}, got {text!r}; {hint}"
        )
    return read_kernel_file(text)


def number(text: str, form: str, given: str) -> float:
    """The finite number that a word is.

    Raises:
        ValueError: it is none; the message shows the form that was expected.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"expected {form} with a number, got {given!r}")
    return value
