"""300×400 color deblurring with a known 5×5 diagonal motion kernel: the analytic-prior photographs.

    python -m benchmarks.color_deblurring

Noise 5/255, then clipped; replicate boundary; the weight of smoothed total variation (per channel,
√(|∇x|² + 1e-4)) in units of ½‖Ax − y‖² as in the paper (e⁻⁶), and the best of a grid.
"""

import math
import time

import torch
from PIL import Image, ImageOps

import undegrade as ud
from benchmarks import table

STD = 5 / 255
WEIGHTS = (math.exp(-6), 3e-3, 4e-3, 5e-3, 6.5e-3)


def photograph(name: str) -> torch.Tensor:
    """The EXIF-rotated photograph at 400 rows × 300 columns, as bilinear interpolation gives it."""
    path = next((table.DATA / "analytic_prior").glob(f"{name}.*"))
    with Image.open(path) as file:
        small = (
            ImageOps.exif_transpose(file)
            .convert("RGB")
            .resize((300, 400), Image.Resampling.BILINEAR)
        )
    pixels = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8)
    return pixels.reshape(1, 400, 300, 3).permute(0, 3, 1, 2).float().contiguous() / 255


def restored(m: ud.Measurement, weight: float) -> tuple[torch.Tensor, float, int]:
    fidelity = ud.Fidelity(m.operator, m.likelihood, m.y)
    prior = ud.SmoothedTotalVariation("isotropic", epsilon=1e-4)
    objective = ud.Objective(fidelity, prior, weight / STD**2)
    began = time.perf_counter()
    stop = ud.until(iterations=500, residual=3e-6, every=5)
    result = ud.solve(ud.LBFGS(), objective, m.y, stop=stop)
    return result.x, time.perf_counter() - began, result.iterations[0]


def row(name: str) -> dict[str, object]:
    x = photograph(name)
    A, eta = ud.Blur(torch.eye(5) / 5, "replicate"), ud.Gaussian(STD)
    y = eta.sample(A(x), torch.Generator().manual_seed(0)).clamp(0, 1)
    m = ud.Measurement(y, A, eta)
    restored(m, WEIGHTS[0])  # warm up
    found = {w: restored(m, w) for w in WEIGHTS}
    best = max(found, key=lambda w: table.score(found[w][0], x))
    paper, (x_best, seconds, iterations) = found[WEIGHTS[0]], found[best]
    automatic = ud.Variational().restore(m)
    return {
        "picture": name,
        "blurred": round(table.score(y, x), 2),
        "weight e⁻⁶": round(table.score(paper[0], x), 2),
        "best": round(table.score(x_best, x), 2),
        "best weight": f"{best:.2g}",
        "seconds": round(seconds, 2),
        "iterations": iterations,
        "Variational()": round(table.score(automatic.x, x), 2),
    }


def main() -> None:
    rows = [row(name) for name in ("nessy", "ba1", "bath", "cc1")]
    table.write("color_deblurring", "python -m benchmarks.color_deblurring", rows)


if __name__ == "__main__":
    main()
