"""A cell in a precision of its own, whatever its surroundings compute in."""

from pathlib import Path
from typing import Literal, final

import torch
from torch import Tensor, nn

from undegrade.learned.rim import Cell

Precision = Literal["auto", "float32", "bfloat16"]

# Convolutions are 3 to 4 times as fast with AMX, and twice with AVX512-BF16 of AMD. With that of
# Intel they take 1.5 to 2.0 times as long as in float32 (`python -m benchmarks.bfloat16`).
_FAST_ON_CPU = {"amx_bf16"}, {"AuthenticAMD", "avx512_bf16"}
_FAST_ON_CUDA = (8, 0)  # compute capability of the first tensor cores for bfloat16


@final
class AutocastCell(nn.Module):
    """The same (features, hidden) ↦ (update, hidden), its convolutions in another precision.

    Features, update and weights stay what they are; features and operators around it never see
    the lower precision, which transforms do not take. Autocast does nothing for float64.

    Arguments:
        cell: what is applied.
        dtype: bfloat16, or float32 for no change.
    """

    def __init__(self, cell: Cell, dtype: torch.dtype) -> None:
        super().__init__()
        self.cell, self.dtype = cell, dtype

    def forward(self, features: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
        """One step."""
        lower = self.dtype != torch.float32
        with torch.autocast(features.device.type, self.dtype if lower else None, enabled=lower):
            update, hidden = self.cell(features, hidden)
        return update.to(features.dtype), hidden


def computing_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """What a cell computes in; `auto` is bfloat16 where the device is made for it.

    Decided by what the device has (AMX, AVX512-BF16 of AMD, tensor cores of compute capability 8),
    not by trying.
    """
    if precision == "auto":
        return torch.bfloat16 if made_for_bfloat16(device) else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def made_for_bfloat16(device: torch.device) -> bool:
    """Whether convolutions are faster in bfloat16 there."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= _FAST_ON_CUDA
    return device.type == "cpu" and any(needed <= _cpu_words() for needed in _FAST_ON_CPU)


def _cpu_words() -> set[str]:
    """What Linux says of the processor, vendor and flags among it; nothing elsewhere."""
    path = Path("/proc/cpuinfo")
    return set(path.read_text().split()) if path.exists() else set()
