"""Time to a relative gap of 1e-4: total variation deblurring, 25×25 kernel, beside deepinv.

    .venv-interop/bin/python -m benchmarks.compare_deconvolution

(`make interop` makes that environment; scikit-image has the picture.) ½‖Ax − y‖² + λ·TV(x),
isotropic per channel, periodic blur (both libraries have its closed form), noise 0.01, the first
256×256 pixels of `astronaut`. The best value is that of 1000 steps of
`PreconditionedPrimalDual`. Every method gets the fewest iterations (in steps of 20 %) that bring
its value within 1e-4 of that, with the best of the listed settings. Then the runs alternate:
medians of the times, and the median of the ratios of neighboring runs.
"""

import statistics
import sys
import time
from collections.abc import Callable, Sequence

import torch
from deepinv.models import TVDenoiser
from deepinv.optim import ADMM, L2, PDCP, L12Prior, TVPrior
from deepinv.physics import BlurFFT
from skimage import data

import undegrade as ud
from benchmarks import table

STD, WEIGHT, GAP = 0.01, 1.5e-3, 1e-4
Solver = ud.PrimalDual | ud.PreconditionedPrimalDual
Run = Callable[[int], torch.Tensor]
"""Iterations ↦ the image that they lead to."""


def problem(side: int) -> tuple[ud.Blur, torch.Tensor]:
    x = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None].float() / 255
    x = x[..., :side, :side].contiguous()
    psf = ud.camera_shake_psf(25, torch.Generator().manual_seed(3))
    blur = ud.Blur(psf, "periodic")
    return blur, ud.Gaussian(STD).sample(blur(x), torch.Generator().manual_seed(0))


def objective(blur: ud.Blur, y: torch.Tensor) -> ud.Objective[ud.LeastSquares, ud.TotalVariation]:
    return ud.Objective(ud.LeastSquares(blur, y, 1.0), ud.TotalVariation("isotropic"), WEIGHT)


def ours(blur: ud.Blur, y: torch.Tensor, solver: Solver) -> Run:
    def run(iterations: int) -> torch.Tensor:
        stop = ud.until(iterations=iterations, every=iterations)
        return ud.solve(solver, objective(blur, y), y, stop=stop).x

    return run


def their_primal_dual(blur: ud.Blur, y: torch.Tensor, step: float) -> Run:
    physics = BlurFFT(img_size=tuple(y.shape[1:]), filter=blur.psf[None, None])

    def run(iterations: int) -> torch.Tensor:
        method = PDCP(
            K=TVDenoiser.nabla,
            K_adjoint=TVDenoiser.nabla_adjoint,
            data_fidelity=L2(sigma=1.0),
            prior=L12Prior(l2_axis=-1),
            lambda_reg=WEIGHT,
            stepsize=step,
            stepsize_dual=1 / (8 * step),
            g_first=True,
            max_iter=iterations,
            custom_init=lambda y, _: {"est": (y, y, torch.zeros_like(TVDenoiser.nabla(y)))},
        )
        with torch.no_grad():
            return method(y, physics)

    return run


def their_admm(blur: ud.Blur, y: torch.Tensor, step: float, inner: int) -> Run:
    physics = BlurFFT(img_size=tuple(y.shape[1:]), filter=blur.psf[None, None])

    def run(iterations: int) -> torch.Tensor:
        method = ADMM(
            data_fidelity=L2(sigma=1.0),
            prior=TVPrior(def_crit=0.0, n_it_max=inner),
            lambda_reg=WEIGHT,
            stepsize=step,
            max_iter=iterations,
            custom_init=lambda y, _: {"est": (y, y)},
        )
        with torch.no_grad():
            return method(y, physics)

    return run


def enough(run: Run, value: Callable[[torch.Tensor], float], target: float) -> int | None:
    """The fewest iterations, in steps of 20 %, that reach the target; None beyond 600."""
    iterations = 20
    while value(run(iterations)) > target:
        iterations += max(2, iterations // 5)
        if iterations > 600:
            return None
    return iterations


def quickest(
    runs: Sequence[tuple[str, Run]], value: Callable[[torch.Tensor], float], target: float
) -> tuple[str, Run, int]:
    """Of one method with several settings, the one that needs the fewest iterations."""
    found = [(n, name, run) for name, run in runs if (n := enough(run, value, target)) is not None]
    if not found:
        raise RuntimeError(f"none of {[name for name, _ in runs]} comes within {GAP:g}")
    n, name, run = min(found, key=lambda item: item[0])
    return name, run, n


def seconds(run: Run, iterations: int) -> float:
    began = time.perf_counter()
    run(iterations)
    return time.perf_counter() - began


def main(side: int = 256, repeats: int = 5) -> None:
    blur, y = problem(side)
    goal = objective(blur, y)

    def value(x: torch.Tensor) -> float:
        return float(goal(x))

    long = ours(blur, y, ud.PreconditionedPrimalDual())(1000)
    target = value(long) * (1 + GAP)
    primal_dual = [
        (f"undegrade PrimalDual, ratio {r}", ours(blur, y, ud.PrimalDual(ratio=r)))
        for r in (0.005, 0.02)
    ]
    directions = [
        ("undegrade PreconditionedPrimalDual", ours(blur, y, ud.PreconditionedPrimalDual()))
    ]
    pdcp = [(f"deepinv PDCP, step {s:g}", their_primal_dual(blur, y, s)) for s in (5.0, 10.0)]
    admm = [(f"deepinv ADMM, step {s:g}", their_admm(blur, y, s, 10)) for s in (30.0, 50.0)]
    methods = [quickest(runs, value, target) for runs in (directions, primal_dual, pdcp, admm)]
    times = {name: list[float]() for name, _, _ in methods}
    for _ in range(repeats):
        for name, run, n in methods:
            times[name].append(seconds(run, n))
    first = times[methods[0][0]]
    rows = [
        {
            "method": name,
            "iterations": n,
            "seconds": round(statistics.median(times[name]), 2),
            "times ours": round(
                statistics.median(t / f for t, f in zip(times[name], first, strict=True)), 1
            ),
        }
        for name, _, n in methods
    ]
    table.write(
        "compare_deconvolution",
        ".venv-interop/bin/python -m benchmarks.compare_deconvolution",
        rows,
    )


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:]))
