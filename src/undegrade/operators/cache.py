"""Remembering what was computed from a tensor for as long as the tensor stays the same."""

from collections.abc import Callable, Hashable
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T", bound=Tensor)
_MOST = 8  # image shapes remembered at a time


class Cache:
    """What was derived from a tensor, until the tensor is another or was changed in place.

    It is a matter of speed and never of results. Nothing is remembered of a tensor that takes part
    in differentiation, nor of one wrapped by `torch.func`, nor under `torch.inference_mode` (whose
    tensors could not be used outside it). A copy of a memo is empty, so that deepcopy and pickle of
    the module that owns it carry no derived data.
    """

    def __init__(self) -> None:
        self._of: tuple[Tensor, int, int] | None = None
        self._known: dict[Hashable, Tensor] = {}

    def __reduce__(self) -> tuple[type["Cache"], tuple[()]]:
        return Cache, ()

    def __call__(self, source: Tensor, key: Hashable, derive: Callable[[], Tensor]) -> Tensor:
        """`derive()`, or what it gave for this source and key before."""
        if torch.compiler.is_compiling() or source.requires_grad or is_transient(source):
            return derive()  # a compiled program would break off to look something up
        if not self._is_of(source):
            self._of = (source, source._version, source.data_ptr())
            self._known = {}
        found = self._known.get(key)
        if found is None:
            found = derive()
            if not is_transient(found):
                self._known = dict([*self._known.items()][1 - _MOST :]) | {key: found}
        return found

    def _is_of(self, source: Tensor) -> bool:
        if self._of is None:
            return False
        tensor, version, address = self._of
        return tensor is source and (version, address) == (source._version, source.data_ptr())


def is_transient(tensor: Tensor) -> bool:
    """Whether a tensor belongs to a function transform or to inference mode."""
    # torch.func has no public question for this (debug_unwrap came later than torch 2.6)
    wrapped: bool = torch._C._functorch.is_functorch_wrapped_tensor(tensor)  # pyright: ignore
    return wrapped or tensor.is_inference()
