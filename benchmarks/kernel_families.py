"""Blur kernels with a formula, their parameters told by the picture alone.

    python -m benchmarks.kernel_families

Ten CBSD68 pictures (every seventh), blurred without boundary, noise 0.01 that is not told. For
each kernel: how many estimates are near (radius and std within 10 %, length within 1.5 pixels and
angle within 7°), their mean error, and how much worse total variation restores a 160×160 crop with
the kernel that was found than with the true one (its weight chosen as usual); `s` is of one
estimate. Every picture's row is kept as it is found, and the same command goes on after an
interruption.
"""

import time
from pathlib import Path

import torch

import undegrade as ud
from benchmarks import table
from undegrade.degradations.unknown_noise import unknown_noise
from undegrade.kernels.estimate import FAMILIES, Estimate, estimate_kernel

STD, CROP = 0.01, 160
CASES: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("disk", (2.0,)),
    ("disk", (4.0,)),
    ("gaussian", (1.2,)),
    ("gaussian", (2.0,)),
    ("motion", (9.0, 35.0)),
    ("motion", (15.0, 110.0)),
)


def near(found: Estimate, true: tuple[float, ...]) -> bool:
    if found.family != "motion":
        return abs(found.values[0] / true[0] - 1) <= 0.1
    turned = abs((found.values[1] - true[1] + 90) % 180 - 90)
    return abs(found.values[0] - true[0]) <= 1.5 and turned <= 7


def lost(x: torch.Tensor, y: torch.Tensor, true: torch.Tensor, found: torch.Tensor) -> float:
    """PSNR with the true kernel less that with the found one, away from the border."""
    restored: list[float] = []
    for psf in (true, found):
        picture = ud.Variational().restore(ud.Measurement(y, ud.Blur(psf), ud.Gaussian(STD))).x
        restored.append(table.score(picture[..., 20:-20, 20:-20], x[..., 20:-20, 20:-20]))
    return restored[0] - restored[1]


def of_one(family: str, true: tuple[float, ...], path: Path) -> dict[str, object]:
    psf, x = FAMILIES[family].kernel(*true), ud.read_image(path)
    y = ud.Blur(psf, "valid")(x)
    y = y + STD * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    noise = float(unknown_noise(y, ud.Identity()).noise.precision(y).mean().rsqrt())
    began = time.perf_counter()
    found = estimate_kernel(y, family, noise)
    seconds = time.perf_counter() - began
    crop = y[..., 60 : 60 + CROP, 60 : 60 + CROP]
    top, left = psf.shape[0] // 2 + 60, psf.shape[1] // 2 + 60
    return {
        "found": str(found),
        "near": int(near(found, true)),
        "told": int(not found.doubt),
        "off": round(abs(found.values[0] / true[0] - 1), 4),
        "lost": round(
            lost(x[..., top : top + CROP, left : left + CROP], crop, psf, found.kernel), 2
        ),
        "s": round(seconds, 1),
    }


def row(family: str, true: tuple[float, ...]) -> dict[str, object]:
    name = ":".join((family, *(f"{v:g}" for v in true)))
    rows = [
        table.kept(
            "kernel_families_pictures",
            {"kernel": name, "picture": path.stem},
            lambda path=path: of_one(family, true, path),
        )
        for _, path in table.pictures("cbsd68", 7)
    ]
    losses = [float(r["lost"]) for r in rows]
    return {
        "kernel": name,
        "near, of 10": sum(int(r["near"]) for r in rows),
        "told": sum(int(r["told"]) for r in rows),
        "mean error of the size": f"{100 * table.mean([float(r['off']) for r in rows], 4):.1f} %",
        "dB lost, mean": table.mean(losses),
        "dB lost, worst": max(losses),
        "within 0.7 dB": sum(loss <= 0.7 for loss in losses),
        "s": table.mean([float(r["s"]) for r in rows], 1),
    }


def main() -> None:
    torch.set_num_threads(1)
    rows = [row(family, true) for family, true in CASES]
    table.write("kernel_families", "python -m benchmarks.kernel_families", rows)


if __name__ == "__main__":
    main()
