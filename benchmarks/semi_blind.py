"""Semi-blind deblurring: a kernel that is nearly right, over ways to be wrong.

    python -m benchmarks.semi_blind

200×200 crops of the photographs and of CBSD68 pictures (3 of each; `--all`: 6 and 10), blurred
without boundary, noise 0.01. Total variation with the kernel that is given and with the true one,
both with the weight that is chosen with the true one; `AnalyticDeepPrior` with the evidence of the
kernel as its upper loss, and on one photograph as published (ADP-β, β = 100, implicit gradients).
PSNR in dB away from the border. "closed" is how much of the gap between the two the evidence
closes; "worst" its worst gain over the given kernel.
"""

import argparse

import torch
from torch import Tensor

import undegrade as ud
from benchmarks.table import mean, pictures, score, write
from undegrade.operators.convolution import convolve

STD, SIZE, BORDER = 0.01, 200, 12


def widened(kernel: Tensor, std: float) -> Tensor:
    """A kernel with a Gaussian on top."""
    extra = ud.gaussian_psf(std)
    room = 2 * (extra.shape[0] // 2)
    padded = torch.nn.functional.pad(kernel, (room, room, room, room))
    return convolve(padded[None, None], extra[None, None])[0, 0]


def shifted(kernel: Tensor, pixels: int) -> Tensor:
    return torch.nn.functional.pad(kernel, (2 * pixels, 0, pixels, pixels))


def cut(kernel: Tensor) -> Tensor:
    """Without its last third of columns."""
    left = kernel.clone()
    left[:, -(kernel.shape[1] // 3) :] = 0
    return left / left.sum()


def motion(length: float, angle: float) -> Tensor:
    return ud.motion_psf(length, angle)


CASES: dict[str, tuple[Tensor, Tensor]] = {
    "motion 9, given 11": (motion(9.0, 30.0), motion(11.0, 30.0)),
    "motion 9, given 7": (motion(9.0, 30.0), motion(7.0, 30.0)),
    "angle off by 15°": (motion(9.0, 30.0), motion(9.0, 45.0)),
    "length off by 10 %": (motion(10.0, 60.0), motion(11.0, 60.0)),
    "Gaussian 0.7 on top": (widened(motion(7.0, 45.0), 0.7), motion(7.0, 45.0)),
    "disk 3 for Gaussian 1.5": (ud.gaussian_psf(1.5), ud.disk_psf(3.0)),
    "shifted by 2 pixels": (motion(9.0, 30.0), shifted(motion(9.0, 30.0), 2)),
    "cut off": (motion(11.0, 20.0), cut(motion(11.0, 20.0))),
}


def crops(all_of_them: bool) -> list[Tensor]:
    photographs = [path for _, path in pictures("analytic_prior")][: 6 if all_of_them else 3]
    others = [path for _, path in pictures("cbsd68", 7)][: 10 if all_of_them else 3]
    found: list[Tensor] = []
    for path in (*photographs, *others):
        x = ud.read_image(path)
        smaller = min(1.0, 300 / min(x.shape[-2:])) if path in photographs else 1.0
        if smaller < 1:
            x = torch.nn.functional.interpolate(
                x, scale_factor=smaller, mode="bilinear", antialias=True
            ).clamp(0, 1)
        found.append(x[..., 60 : 60 + SIZE, 60 : 60 + SIZE])
    return found


def restored(y: Tensor, kernel: Tensor, method: ud.Restorer) -> Tensor:
    return method.restore(ud.Measurement(y, ud.Blur(kernel), ud.Gaussian(STD))).x


def of_one(x: Tensor, true: Tensor, given: Tensor, published: bool) -> dict[str, float]:
    y = ud.Blur(true, "valid")(x)
    y = y + STD * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    top, left = true.shape[0] // 2, true.shape[1] // 2
    x = x[..., top : SIZE - top, left : SIZE - left]
    measurement = ud.Measurement(y, ud.Blur(true), ud.Gaussian(STD))
    weight = float(ud.Variational().choose_weight(measurement, y)[0])
    methods: dict[str, tuple[Tensor, ud.Restorer]] = {
        "given": (given, ud.Variational(weight=weight)),
        "evidence": (given, ud.AnalyticDeepPrior(weight=weight)),
        "true": (true, ud.Variational(weight=weight)),
    }
    if published:
        adp = ud.AnalyticDeepPrior(
            upper="measurement", beta=100.0, weight=weight, iterations=10, position="given"
        )
        methods["ADP-β"] = (given, adp)
    inner = slice(BORDER, -BORDER)
    return {
        name: score(restored(y, kernel, method)[..., inner, inner], x[..., inner, inner])
        for name, (kernel, method) in methods.items()
    }


def row(name: str, xs: list[Tensor]) -> dict[str, object]:
    true, given = CASES[name]
    scores = [of_one(x, true, given, published=i == 1) for i, x in enumerate(xs)]
    means = {k: mean([s[k] for s in scores]) for k in ("given", "evidence", "true")}
    closed = (means["evidence"] - means["given"]) / (means["true"] - means["given"])
    worst = min(s["evidence"] - s["given"] for s in scores)
    one = scores[1]
    print(name, means, [round(s["evidence"] - s["given"], 1) for s in scores], flush=True)
    return {
        "wrong by": name,
        **means,
        "closed": f"{100 * closed:.0f} %",
        "worst": round(worst, 2),
        "one: given / ADP-β / true": " / ".join(
            f"{one[k]:.2f}" for k in ("given", "ADP-β", "true")
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true")
    torch.set_num_threads(1)
    xs = crops(parser.parse_args().all)
    rows = [row(name, xs) for name in CASES]
    write("semi_blind", "python -m benchmarks.semi_blind", rows)


if __name__ == "__main__":
    main()
