"""Blur kernels with a formula, their parameters told by the picture alone.

    python -m benchmarks.kernel_families

Ten CBSD68 pictures (every seventh), blurred without boundary, noise 0.01 that is not told. For
each kernel: how many estimates are near (radius and std within 10 %, length within 1.5 pixels and
angle within 7°), their mean error, and how much worse total variation restores a 160×160 crop with
the kernel that was found than with the true one (its weight chosen as usual).
"""

import torch

import undegrade as ud
from benchmarks.table import mean, pictures, score, write
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
        restored.append(score(picture[..., 20:-20, 20:-20], x[..., 20:-20, 20:-20]))
    return restored[0] - restored[1]


def row(family: str, true: tuple[float, ...]) -> dict[str, object]:
    psf, generator = FAMILIES[family].kernel(*true), torch.Generator().manual_seed(0)
    hits, off, losses, told = 0, list[float](), list[float](), 0
    for _, path in pictures("cbsd68", 7):
        x = ud.read_image(path)
        y = ud.Blur(psf, "valid")(x)
        y = y + STD * torch.randn(y.shape, generator=generator)
        noise = float(unknown_noise(y, ud.Identity()).noise.precision(y).mean().rsqrt())
        found = estimate_kernel(y, family, noise)
        told += not found.doubt
        hits += near(found, true)
        off.append(abs(found.values[0] / true[0] - 1))
        crop = y[..., 60 : 60 + CROP, 60 : 60 + CROP]
        top, left = psf.shape[0] // 2 + 60, psf.shape[1] // 2 + 60
        losses.append(lost(x[..., top : top + CROP, left : left + CROP], crop, psf, found.kernel))
    return {
        "kernel": ":".join((family, *(f"{v:g}" for v in true))),
        "near, of 10": hits,
        "told": told,
        "mean error of the size": f"{100 * mean(off, 4):.1f} %",
        "dB lost, mean": mean(losses),
        "dB lost, worst": round(max(losses), 2),
    }


def main() -> None:
    torch.set_num_threads(1)
    rows = [row(family, true) for family, true in CASES]
    write("kernel_families", "python -m benchmarks.kernel_families", rows)


if __name__ == "__main__":
    main()
