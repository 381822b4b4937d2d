"""Denoising by the shipped network on CBSD68 and its gray version, as in the papers' tables.

    python -m benchmarks.learned_denoising [--images FOLDER] [--weights FILE] [--every N]
        [--std 25] [--pictures gray] [--results NAME]

Float noise and 8-bit noise are different benchmarks; both are here. The noise of picture i comes
from seed 1000 + i, so that all rows see the same draws. PSNR is the mean of per-picture values;
`universal` is that of the network for all degradations, in place of the one for white noise. What
was computed before, with the same weights, is read from `runs/learned_denoising`.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import torch

import undegrade as ud
from benchmarks import table
from undegrade.likelihoods.rounding import rounded
from undegrade.metrics.luma import gray
from undegrade.restorers.recurrent_inference import WEIGHTS, RecurrentInference

SHIPPED = {
    kind: WEIGHTS / f"{name}.safetensors"
    for kind, name in (("color", "denoising"), ("gray", "denoising-gray"))
}
PUBLISHED = {
    ("color", "8-bit", 25): "CBM3D 30.18, LGD 30.50, RIM 30.84",
    ("color", "float", 15): "CBM3D 33.52, FFDNet 33.87, DnCNN 33.90, DRUNet 34.30",
    ("color", "float", 25): "CBM3D 30.71, FFDNet 31.21, DnCNN 31.24, DRUNet 31.69",
    ("color", "float", 50): "CBM3D 27.38, FFDNet 27.96, DnCNN 27.95, DRUNet 28.51",
    ("gray", "float", 15): "RIM 31.31, DnCNN-B 31.61",
    ("gray", "float", 25): "RIM 28.91, DnCNN-B 29.16",
    ("gray", "float", 50): "RIM 26.06, DnCNN-B 26.23",
}


def measured(path: Path, i: int, kind: str, values: str, std: int) -> tuple[torch.Tensor, ...]:
    """The truth and its noisy version."""
    x = ud.read_image(path)
    x = gray(x) if kind == "gray" else x
    eta = ud.Gaussian(std / 255)
    y = eta.sample(x, torch.Generator().manual_seed(1000 + i))
    return x, rounded(y) if values == "8-bit" else y


def row(
    paths: list[tuple[int, Path]], weights: Path | None, setting: tuple[str, str, int]
) -> table.Row:
    """One line of the table."""
    kind, values, std = setting
    known = table.Known("learned_denoising")
    files = {"psnr": weights or SHIPPED[kind], "universal": WEIGHTS / "universal.safetensors"}
    tags = {name: table.version([file]) for name, file in files.items()}
    scores: dict[str, list[float]] = {"noisy": [], "psnr": [], "universal": []}
    for i, path in paths:
        x, y = measured(path, i, kind, values, std)
        scores["noisy"].append(table.score(y, x))
        for name, file in files.items():
            restorer = RecurrentInference(weights=None if file == SHIPPED[kind] else file)
            job = partial(restored, restorer, x, y, std / 255)
            key = f"{path} {kind} {values} {std} {tags[name]}"
            scores[name].append(known.of(key, job)["psnr"])
    return {
        "pictures": kind,
        "noise": values,
        "std": std,
        "count": len(paths),
        **{name: table.mean(each) for name, each in scores.items()},
        "published": PUBLISHED[setting],
    }


def restored(
    restorer: RecurrentInference, x: torch.Tensor, y: torch.Tensor, std: float
) -> dict[str, float]:
    """PSNR of what it makes of y."""
    m = ud.Measurement(y, ud.Identity(), ud.Gaussian(std))
    return {"psnr": table.score(restorer.restore(m).x, x)}


def main() -> None:
    """Run, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, default=table.DATA / "cbsd68")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--every", type=int, default=1, help="use every n-th picture")
    parser.add_argument("--std", type=int, nargs="*", default=(15, 25, 50), help="noise levels")
    parser.add_argument("--pictures", nargs="*", default=("color", "gray"))
    parser.add_argument("--results", default="learned_denoising", help="name of the table")
    options = parser.parse_args()
    paths = table.pictures(options.images.absolute(), options.every)
    rows = []
    for setting in (s for s in PUBLISHED if s[2] in options.std and s[0] in options.pictures):
        rows.append(row(paths, options.weights, setting))
        print(rows[-1], flush=True)
    command = f"python -m benchmarks.learned_denoising {' '.join(sys.argv[1:])}"
    table.write(options.results, command, rows)


if __name__ == "__main__":
    main()
