"""Semi-blind deblurring: a kernel that is nearly right, over ways to be wrong.

    python -m benchmarks.semi_blind [--levin] [--all]

160×160 crops of the six photographs and three CBSD68 pictures (`--all`: ten), blurred without
boundary, noise 0.01. Total variation with the kernel that is given and with the true one;
`AnalyticDeepPrior` with the evidence of the kernel as its upper loss. On one photograph also the
analytic deep prior as published (ADP-β, β = 100 for ½‖·‖², implicit gradients, 5 outer steps),
plain joint minimization, and blind Richardson–Lucy. All with one weight per picture, chosen for a
motion by 9 pixels that is known. `--levin`: Levin's eight kernels, centered, on a picture each.

PSNR in dB away from the border, without alignment. "closed" is how much of the gap between the
given and the true kernel the evidence closes in the mean; "worst" its worst gain over the given
kernel; "kept" how often it keeps that. Every picture's row is kept as it is found, and the same
command goes on after an interruption.
"""

import argparse
import functools
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

import undegrade as ud
from benchmarks import table
from benchmarks.blind_references import joint, richardson_lucy
from undegrade.degradations.kernel_file import read_kernel
from undegrade.kernels.position import positioned
from undegrade.operators.convolution import convolve

STD, SIZE, BORDER = 0.01, 160, 12
FEW, MEASURED = (14, 35, 56), "bath"  # the CBSD68 pictures; the one that all methods restore
PUBLISHED = 100 / STD**2  # β in nats
Pair = tuple[Tensor, Tensor]  # the true kernel and the given one
SLOW = ("ADP-β", "joint", "RL")


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


def larger(kernel: Tensor, ratio: float) -> Tensor:
    """Magnified about the middle, by linear interpolation."""
    room = 1 + kernel.shape[0] // 8
    padded = torch.nn.functional.pad(kernel, (room,) * 4)[None, None]
    matrix = torch.tensor([[[1 / ratio, 0, 0], [0, 1 / ratio, 0]]])
    grid = torch.nn.functional.affine_grid(matrix, list(padded.shape), align_corners=True)
    found = torch.nn.functional.grid_sample(padded, grid, align_corners=True)[0, 0]
    return found / found.sum()


def motion(length: float, angle: float) -> Tensor:
    return ud.motion_psf(length, angle)


CASES: Mapping[str, Pair] = {
    "motion 9, given 11": (motion(9.0, 30.0), motion(11.0, 30.0)),
    "motion 9, given 7": (motion(9.0, 30.0), motion(7.0, 30.0)),
    "angle off by 15°": (motion(9.0, 30.0), motion(9.0, 45.0)),
    "length off by 10 %": (motion(10.0, 60.0), motion(11.0, 60.0)),
    "Gaussian 0.3 on top": (widened(motion(7.0, 45.0), 0.3), motion(7.0, 45.0)),
    "Gaussian 0.7 on top": (widened(motion(7.0, 45.0), 0.7), motion(7.0, 45.0)),
    "Gaussian 1 on top": (widened(motion(7.0, 45.0), 1.0), motion(7.0, 45.0)),
    "disk 3 for Gaussian 1.5": (ud.gaussian_psf(1.5), ud.disk_psf(3.0)),
    "shifted by 2 pixels": (motion(9.0, 30.0), shifted(motion(9.0, 30.0), 2)),
    "cut off": (motion(11.0, 20.0), cut(motion(11.0, 20.0))),
    "right": (motion(9.0, 30.0), motion(9.0, 30.0)),
}
LEVIN: Mapping[str, Callable[[Tensor], Tensor]] = {
    "right": lambda k: k,
    "cut off": cut,
    "10 % too large": lambda k: larger(k, 1.1),
}


@functools.cache
def crops() -> dict[str, Tensor]:
    """Photographs with their short side at 300 pixels, and pictures as they are, by their names."""
    found = dict[str, Tensor]()
    for _, path in table.pictures("analytic_prior"):
        x = ud.read_image(path)
        smaller = min(1.0, 300 / min(x.shape[-2:]))
        if smaller < 1:
            x = torch.nn.functional.interpolate(
                x, scale_factor=smaller, mode="bilinear", antialias=True
            ).clamp(0, 1)
        found[path.stem] = x
    found |= {path.stem: ud.read_image(path) for _, path in table.pictures("cbsd68", 7)}
    return {name: x[..., 60 : 60 + SIZE, 60 : 60 + SIZE] for name, x in found.items()}


def measured(x: Tensor, kernel: Tensor) -> ud.Measurement:
    blur = ud.Blur(kernel, "valid")
    y = ud.Gaussian(STD).sample(blur(x), torch.Generator().manual_seed(1))
    return ud.Measurement(y, ud.Blur(kernel), ud.Gaussian(STD))


@functools.cache
def weight_of(picture: str) -> float:
    known = measured(crops()[picture], motion(9.0, 30.0))
    return float(ud.Variational().choose_weight(known, known.y)[0])


def of_one(picture: str, pair: Pair, *, slow: bool) -> dict[str, object]:
    (true, given), x, weight = pair, crops()[picture], weight_of(picture)
    right = measured(x, true)
    y = right.y
    top, left = true.shape[0] // 2, true.shape[1] // 2
    truth = x[..., top : SIZE - top, left : SIZE - left]
    inner = slice(BORDER, -BORDER)
    total_variation = ud.Variational(weight=weight)
    wrong = ud.Measurement(y, ud.Blur(given), ud.Gaussian(STD))
    corrected = ud.AnalyticDeepPrior(weight=weight).restore(wrong)
    restored = {
        "given": total_variation.restore(wrong).x,
        "evidence": corrected.x,
        "true": total_variation.restore(right).x,
    }
    if slow:
        published = ud.AnalyticDeepPrior(
            upper="measurement", beta=PUBLISHED, weight=weight, iterations=5, position="given"
        )
        restored["ADP-β"] = published.restore(wrong).x
        restored["joint"] = joint(y, given, STD, weight)[0]
        restored["RL"] = richardson_lucy(y, given)[0]
    scores = {
        name: round(table.score(found[..., inner, inner], truth[..., inner, inner]), 3)
        for name, found in restored.items()
    }
    kept = int(float(corrected.chosen["kernel changed"][0]) == 0)
    return {name: scores.get(name, "") for name in ("given", "evidence", "true", *SLOW)} | {
        "weight": round(weight, 1),
        "kept": kept,
    }


def row(name: str, rows: list[dict[str, str]]) -> dict[str, object]:
    means = {
        k: table.mean([float(r[k]) for r in rows if r[k]]) for k in ("given", "evidence", "true")
    }
    gap = means["true"] - means["given"]
    gains = [float(r["evidence"]) - float(r["given"]) for r in rows]
    some = [r for r in rows if r["RL"]]
    return {
        "wrong by": name,
        **means,
        "closed": f"{100 * (means['evidence'] - means['given']) / gap:.0f} %" if gap > 0.05 else "",
        "worst": round(min(gains), 2),
        "kept": f"{sum(int(r['kept']) for r in rows)} of {len(rows)}",
        "one: given": table.mean([float(r["given"]) for r in some]) if some else "",
        **{k: table.mean([float(r[k]) for r in some]) if some else "" for k in SLOW},
    }


def formulas(*, all_of_them: bool) -> list[dict[str, object]]:
    found = dict[str, list[dict[str, str]]]()
    for picture in crops():
        if picture.isdigit() and int(picture) not in FEW and not all_of_them:
            continue
        for name, pair in CASES.items():
            slow = picture == MEASURED
            one = table.kept(
                "semi_blind_pictures",
                {"wrong by": name, "picture": picture},
                functools.partial(of_one, picture, pair, slow=slow),
            )
            found.setdefault(name, []).append(one)
    return [row(name, rows) for name, rows in found.items()]


def shake() -> list[dict[str, object]]:
    pictures, found = list(crops()), dict[str, list[dict[str, str]]]()
    for number in range(1, 9):
        kernel = read_kernel(f"{table.DATA / 'kernels' / 'Levin09.mat'}:{number}")
        true = positioned(kernel[None, None], "center", 0)[0, 0]
        for name, mistake in LEVIN.items():
            pair = true, mistake(true)
            one = table.kept(
                "semi_blind_levin_pictures",
                {"wrong by": name, "picture": f"{pictures[number]} {number}"},
                functools.partial(of_one, pictures[number], pair, slow=False),
            )
            found.setdefault(name, []).append(one)
    return [row(name, rows) for name, rows in found.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--levin", action="store_true")
    torch.set_num_threads(1)
    asked = parser.parse_args()
    if asked.levin:
        table.write("semi_blind_levin", "python -m benchmarks.semi_blind --levin", shake())
    else:
        rows = formulas(all_of_them=asked.all)
        table.write("semi_blind", "python -m benchmarks.semi_blind", rows)


if __name__ == "__main__":
    main()
