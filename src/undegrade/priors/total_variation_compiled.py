"""Total variation as compiled loops: its gradient in two passes over memory, half-steps in one.

The plain tensor expressions of `GroupNorm` and `FiniteDifference` are the definition; a test
holds these loops to them. Compilation takes some seconds once per machine, then comes from disk.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from undegrade.core.image import Image, PerSample
from undegrade.priors.group_norm import Coupling

SMALLEST = 2**17  # below this many values the plain expressions are fast enough


def pays(x: Image, *others: Tensor) -> bool:
    """Whether the compiled loops can take these, and are faster: large plain CPU tensors."""
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and x.numel() >= SMALLEST
        and all(other.dtype == x.dtype for other in others)
        and not (torch.is_grad_enabled() and any(t.requires_grad for t in (x, *others)))
        and all(map(_in_memory, (x, *others)))
    )


def _in_memory(x: Tensor) -> bool:
    """Whether the values lie there, rather than being followed by a transform of torch.func."""
    try:
        return x.data_ptr() != 0
    except RuntimeError:
        return False


def slopes(x: Image, coupling: Coupling) -> Tensor:
    """|∇x| of every group, (b, c or 1, h, w): isotropic or vectorial coupling."""
    b, c, h, w = x.shape
    groups, colors = (b, c) if coupling == "vectorial" else (b * c, 1)
    out = x.new_empty(groups, h, w)
    source = x.detach().contiguous().reshape(groups, colors, h, w)
    _loops()["slopes"](source.numpy(), out.numpy())
    return out.reshape(b, -1, h, w)


def diffuse(x: Image, scale: Tensor) -> Image:
    """∇ᵀ(scale·∇x), the scale one number per pixel and group, (b, c or 1, h, w)."""
    b, _, h, w = x.shape
    groups = b * scale.shape[1]
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    source, target = (a.reshape(groups, -1, h, w) for a in (x.detach().contiguous(), out))
    _loops()["diffuse"](
        source.numpy(), scale.contiguous().reshape(groups, h, w).numpy(), target.numpy()
    )
    return out


def ascend(
    p: Tensor,
    x: Image,
    step: PerSample,
    weight: PerSample,
    coupling: Coupling,
    smoothing: float,
) -> Tensor:
    """p ← the point of the ball |p| ≤ weight nearest to (p + step·∇x)/(1 + step·δ/weight)."""
    tiny = torch.finfo(x.dtype).tiny
    shrink = 1 / (1 + step * smoothing / weight.clamp(min=tiny))
    p = p.contiguous()
    arrays = (a.detach().to(x).numpy() for a in (step, weight, shrink))
    _loops()[coupling](p.detach().numpy(), x.detach().contiguous().numpy(), *arrays)
    return p


def descend(x: Image, p: Tensor, step: PerSample) -> Image:
    """x − step·∇ᵀp, in a new tensor."""
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    source = x.detach().contiguous().numpy()
    _loops()["descend"](
        source, p.detach().contiguous().numpy(), step.detach().to(x).numpy(), out.numpy()
    )
    return out


def _loops() -> dict[str, Callable[..., Any]]:
    """The compiled loops, set to as many threads as torch takes at this moment.

    Two pools of threads that both want every core wait for each other.
    """
    import numba

    threads = torch.get_num_threads()
    numba.set_num_threads(min(threads, _pool()))
    if torch.get_num_threads() != threads:  # the pool has just started, and they share OpenMP
        torch.set_num_threads(threads)
    return _compiled()


@functools.cache
def _pool() -> int:
    """Start numba's threads; how many there are."""
    import numba

    return numba.get_num_threads()


@functools.cache
def _compiled() -> dict[str, Callable[..., Any]]:
    """By name."""
    from undegrade.priors import total_variation_loops as loops

    return {
        "anisotropic": loops.ascend_anisotropic,
        "isotropic": loops.ascend_isotropic,
        "vectorial": loops.ascend_vectorial,
        "descend": loops.descend,
        "slopes": loops.slopes,
        "diffuse": loops.diffuse,
    }
