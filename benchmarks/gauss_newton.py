"""Five Gauss–Newton products of a blur and a camera curve, φ linearized once or every time.

    python -m benchmarks.gauss_newton [--size N] [--repetitions N]

φ is 25×25 camera shake, then x^(1/2.2), on N×N pixels of `astronaut`; noise of σ = 0.01, one
thread. The runs alternate; seconds are medians of processor time.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from skimage import data
from torch import Tensor

import undegrade as ud
from benchmarks import table


def every_time(fidelity: ud.Fidelity, x: Tensor, v: Tensor) -> Tensor:
    """φ′(x)ᵀ H φ′(x) v with φ evaluated anew for φ(x), φ′(x) v and its transpose."""
    A = fidelity.operator

    def slope(prediction: Tensor) -> Tensor:
        return fidelity.likelihood.value_and_grad(prediction, fidelity.y)[1]

    moved = torch.func.jvp(A, (x,), (v,))[1]
    bent = torch.func.jvp(slope, (A(x),), (moved,))[1]
    return torch.func.vjp(A, x)[1](bent)[0]


def products(product: Callable[[Tensor], Tensor], v: Tensor) -> Tensor:
    for _ in range(5):
        v = product(v)
        v = v / v.norm()
    return v


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repetitions", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None].float() / 255
    x = x[..., : arguments.size, : arguments.size].contiguous()
    blur = ud.Blur(ud.camera_shake_psf(25, generator))
    A = ud.Function(lambda x: x.clamp(min=1e-3) ** (1 / 2.2)) @ blur
    fidelity = ud.Fidelity(A, ud.Gaussian(0.01), A(x))
    v = torch.randn(x.shape, generator=generator)
    ways = {
        "linearized once": lambda: products(fidelity.curvature(x), v),
        "linearized in every product": lambda: products(lambda u: every_time(fidelity, x, u), v),
    }
    results, seconds = {}, {name: [] for name in ways}
    for _ in range(arguments.repetitions):
        for name, way in ways.items():
            began = time.process_time()
            results[name] = way()
            seconds[name].append(time.process_time() - began)
    torch.testing.assert_close(*results.values(), rtol=1e-3, atol=1e-6)
    median = {name: statistics.median(s) for name, s in seconds.items()}
    rows = [
        {"φ": name, "seconds": f"{s:.3f}", "ratio": f"{s / median['linearized once']:.2f}"}
        for name, s in median.items()
    ]
    table.write("gauss_newton", "python -m benchmarks.gauss_newton", rows)


if __name__ == "__main__":
    main()
