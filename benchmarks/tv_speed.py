"""Time to scikit-image's objective value: total variation denoising of 512×512×3, σ = 25, float.

    python -m benchmarks.tv_speed

scikit-image runs to eps = 1e-5; ours (and deepinv's, where it is installed) run until their value
of ½‖x − y‖² + 0.08·TV (isotropic per channel) is no larger. Runs alternate; medians and the median
of the ratios of neighboring runs.
"""

import importlib.util
import statistics
import time
from collections.abc import Callable

import torch
from skimage import data
from skimage.restoration import denoise_tv_chambolle

import undegrade as ud
from benchmarks import table

WEIGHT, STD, RUNS = 0.08, 25 / 255, 9


def value(x: torch.Tensor, y: torch.Tensor) -> float:
    """½‖x − y‖² + 0.08·TV(x)."""
    return float(0.5 * (x - y).square().sum() + WEIGHT * ud.TotalVariation("isotropic")(x).sum())


def chambolle(y: torch.Tensor) -> torch.Tensor:
    array = y[0].permute(1, 2, 0).contiguous().numpy()
    x = denoise_tv_chambolle(array, WEIGHT, eps=1e-5, max_num_iter=1000, channel_axis=-1)
    return torch.from_numpy(x).permute(2, 0, 1)[None]


def ours(iterations: int) -> Callable[[torch.Tensor], torch.Tensor]:
    def run(y: torch.Tensor) -> torch.Tensor:
        objective = ud.Objective(
            ud.LeastSquares(ud.Identity(), y, 1.0), ud.TotalVariation("isotropic"), WEIGHT
        )
        stop = ud.until(iterations=iterations, every=iterations)
        return ud.solve(ud.PrimalDual(), objective, y, stop=stop).x

    return run


def theirs(iterations: int) -> Callable[[torch.Tensor], torch.Tensor]:
    from deepinv.models import TVDenoiser

    model = TVDenoiser(n_it_max=iterations, crit=0.0)
    return lambda y: model(y, WEIGHT)


def enough(make: Callable[[int], Callable[[torch.Tensor], torch.Tensor]], y: torch.Tensor) -> int:
    """The fewest iterations, in steps of 10 %, that reach scikit-image's value."""
    target, iterations = value(chambolle(y), y), 20
    while value(make(iterations)(y), y) > target:
        iterations = iterations + max(1, iterations // 10)
        if iterations > 3000:
            raise RuntimeError("3000 iterations do not reach scikit-image's value")
    return iterations


def timed(run: Callable[[torch.Tensor], torch.Tensor], y: torch.Tensor) -> float:
    began = time.perf_counter()
    run(y)
    return time.perf_counter() - began


def main() -> None:
    x = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None].float() / 255
    y = ud.Gaussian(STD).sample(x, torch.Generator().manual_seed(0))
    methods = {
        "scikit-image": chambolle,
        f"undegrade, {(n := enough(ours, y))} iterations": ours(n),
    }
    if importlib.util.find_spec("deepinv") is not None:
        count = enough(theirs, y)
        methods[f"deepinv, {count} iterations"] = theirs(count)
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(RUNS):
        for name, run in methods.items():
            seconds[name].append(timed(run, y))
    own = next(v for k, v in seconds.items() if k.startswith("undegrade"))
    rows = []
    for name, times in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(own, times, strict=True))
        restored = methods[name](y)
        rows.append(
            {
                "method": name,
                "median s": round(statistics.median(times), 3),
                "ours/this": round(ratio, 2),
                "objective": round(value(restored, y), 1),
                "PSNR": round(table.score(restored, x), 2),
            }
        )
    table.write("tv_speed", "python -m benchmarks.tv_speed", rows)


if __name__ == "__main__":
    main()
