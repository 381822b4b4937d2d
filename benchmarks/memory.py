"""Memory of the variational methods: how many arrays of the size of the picture live at once.

    python -m benchmarks.memory

Counts the bytes of all tensors that are made during `restore` and still alive, at their peak, and
divides by the bytes of the picture (3 × 384 × 384, float32). Measurement, operator and likelihood
are the caller's and not counted; what torch's convolutions and transforms take for themselves while
they run is not seen.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import undegrade as ud
from benchmarks import table

SIDE = 384
PICTURE = 3 * SIDE * SIDE * 4


class Alive(TorchDispatchMode):
    """Follows every storage that an operation makes, until it is freed."""

    def __init__(self, known: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.known = {StorageWeakRef(t.untyped_storage()).cdata for t in known}
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self.alive = {k: v for k, v in self.alive.items() if not v[0].expired()}
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                ref = StorageWeakRef(storage)
                if ref.cdata not in self.known:
                    self.alive[ref.cdata] = ref, storage.nbytes()
        self.peak = max(self.peak, sum(size for _, size in self.alive.values()))
        return out


def problems() -> dict[str, ud.Measurement]:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 3, SIDE, SIDE, generator=generator)
    white, psf = ud.Gaussian(0.1), ud.gaussian_psf(1.0)
    kept = (torch.rand(SIDE, SIDE, generator=generator) > 0.5).float()
    parts: dict[str, tuple[ud.Operator, ud.Likelihood]] = {
        "denoising": (ud.Identity(), white),
        "photon noise": (ud.Identity(), ud.Poisson(50.0)),
        "blur": (ud.Blur(psf, "replicate"), white),
        "periodic blur": (ud.Blur(psf, "periodic"), white),
        "blur, Laplace noise": (ud.Blur(psf, "replicate"), ud.Laplace(0.1)),
        "super-resolution ×2": (ud.Downsample(2) @ ud.Blur(psf, "replicate"), white),
        "missing pixels": (ud.Mask(kept), white),
        "salt and pepper": (ud.Identity(), ud.SaltAndPepper(0.5)),
    }
    return {
        name: ud.Measurement(eta.sample(A(x), generator), A, eta)
        for name, (A, eta) in parts.items()
    }


def peak(m: ud.Measurement, weight: float | None) -> float:
    """Arrays of the size of the picture."""
    method = ud.Variational(weight=weight, iterations=15)
    method.restore(m)  # what an operator computes once and keeps is not this run's
    known = [m.y, *m.operator.buffers(), *m.likelihood.buffers()]
    with Alive(known) as alive:
        method.restore(m)
    return round(alive.peak / PICTURE, 1)


def main() -> None:
    rows = [
        {"task": name, "weight given": peak(m, 8.0), "automatic": peak(m, None)}
        for name, m in problems().items()
    ]
    table.write("memory", "python -m benchmarks.memory", rows)


if __name__ == "__main__":
    main()
