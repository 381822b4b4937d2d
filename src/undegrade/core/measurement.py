"""From what was measured to what was there."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from undegrade.core.above import above
from undegrade.core.functional import require_kind
from undegrade.core.image import no_tensor
from undegrade.core.likelihood import Likelihood, NoiseModel
from undegrade.core.operator import Operator
from undegrade.core.solver import Observer, Result

_NO_OPERATOR = "Function makes one of any map, from_physics of any physics of DeepInverse"
_COLORS = (1, 3, 4)  # channels of the pictures that other libraries put last


@dataclass(frozen=True, init=False)
class Measurement:
    """y = φ(x) + η: what was measured, and all that is known of how.

    `Measurement(y)` alone is a picture with noise of an unknown level. Entries that say nothing of
    x, because the operator sees nothing there or the likelihood trusts them nothing, may hold
    anything, NaN too: those of the operator are 0 here, as it predicts.

    Arguments:
        y: what was measured, a floating-point batch; for pictures (b, c, h, w) in [0, 1].
        operator: φ; by default nothing happened to the picture but noise.
        likelihood: η; by default white noise whose level is estimated from y.

    Raises:
        ValueError: y is no such batch, requires grad, or lies on another device than the operator
            or the likelihood; or these are something else.
    """

    y: Tensor
    operator: Operator
    likelihood: Likelihood

    def __init__(
        self, y: Tensor, operator: Operator | None = None, likelihood: Likelihood | None = None
    ) -> None:
        _check_batch(y, picture=operator is None)
        operator = above.identity() if operator is None else operator
        _check_part(y, "operator", operator, Operator, _NO_OPERATOR)
        lost = operator.lost(y)
        y = y if lost is None else torch.where(lost, 0.0, y)
        likelihood = above.noise(y, operator) if likelihood is None else likelihood
        _check_part(y, "likelihood", likelihood, Likelihood, "Gaussian(std) is one")
        likelihood = likelihood.about(y)
        if isinstance(likelihood, NoiseModel) and not bool(y.isfinite().all()):
            y = torch.where(y.isfinite() | (likelihood.precision(y) > 0), y, 0.0)
        for name, value in (("y", y), ("operator", operator), ("likelihood", likelihood)):
            object.__setattr__(self, name, value)

    @property
    def precision(self) -> Tensor:
        """1/variance of each entry of y as far as y tells; 0 for one that is lost.

        Raises:
            ValueError: the likelihood is no `NoiseModel`.
        """
        precision, lost = self.likelihood.noise.precision(self.y), self.operator.lost(self.y)
        return precision if lost is None else torch.where(lost, 0.0, precision)

    def _repr_html_(self) -> str:
        return above.html(self)


@runtime_checkable
class Restorer(Protocol):
    """A complete method: every choice made, every number visible as a field."""

    def restore(
        self, measurement: Measurement, *, observe: Sequence[Observer] = ()
    ) -> Result[Any]: ...


def require_measurement(thing: object) -> None:
    """Refuse what no method can restore.

    Raises:
        ValueError: it is no `Measurement`.
    """
    if not isinstance(thing, Measurement):
        raise ValueError(
            f"a method restores a Measurement, got {type(thing).__name__}: "
            f"Measurement(y) has noise of unknown level"
        )


def check_picture(x: object) -> None:
    """Refuse what is no batch of pictures (b, c, h, w), and say how to make it one.

    Raises:
        ValueError: it is none.
    """
    _check_batch(x, picture=True)


def _check_batch(y: object, *, picture: bool) -> None:
    expected = "expected a floating-point tensor of shape (b, c, h, w)"
    if not isinstance(y, Tensor):
        raise ValueError(f"{expected}, {no_tensor(y)}")
    shape = tuple(y.shape)
    if y.dtype not in (torch.float32, torch.float64):
        how = "give y / 255 where the samples have 8 bits"
        how = "give y.float()" if y.is_floating_point() else how
        how = "a picture is real" if y.is_complex() else how
        raise ValueError(f"{expected} in single or double precision, got {y.dtype}: {how}")
    if y.requires_grad:
        raise ValueError(
            "the measurement requires grad, and methods that choose for themselves have no "
            "derivative: give y.detach(), or `solve` an Objective"
        )
    if picture and y.ndim != 4:
        raise ValueError(f"{expected}, got {shape}: {_how_to_batch(shape)}")
    if picture and shape[1] not in _COLORS and shape[3] in _COLORS:
        raise ValueError(f"{expected}, got {shape}: y.permute(0, 3, 1, 2) puts the channels first")
    if 0 in shape:
        raise ValueError(f"{expected} with at least one entry, got {shape}")


def _how_to_batch(shape: tuple[int, ...]) -> str:
    if len(shape) == 3 and shape[0] not in _COLORS and shape[2] in _COLORS:
        return "y.permute(2, 0, 1)[None] makes it a batch of one"
    index = ", ".join(["None"] * (4 - len(shape))) or "0"
    return f"y[{index}] makes it a batch of one"


def _check_part(y: Tensor, what: str, module: nn.Module, kind: type, advice: str) -> None:
    require_kind("Measurement", what, module, kind, advice)
    others = {t.device for t in itertools.chain(module.parameters(), module.buffers())} - {y.device}
    if others:
        raise ValueError(
            f"the measurement is on the device {y.device}, its {what} on {others.pop()}: "
            f"move one of them, as in {what}.to(y.device)"
        )
