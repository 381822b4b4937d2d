"""Total variation denoising of CBSD68 at σ = 25/255: chosen weights beside the best ones.

    python -m benchmarks.tv_denoising [--every N]

The oracle tries weights around the chosen one and keeps the best PSNR against the truth. The
noise of picture i comes from seed 1000 + i.
"""

import argparse
import time

import torch

import undegrade as ud
from benchmarks import table
from undegrade.likelihoods.rounding import rounded

STD = 25 / 255
FACTORS = (0.55, 0.65, 0.75, 0.85, 0.95, 1.05, 1.2, 1.4, 1.7, 2.1)


def measured(path: object, i: int, eight_bit: bool) -> tuple[torch.Tensor, ud.Measurement]:
    x = ud.read_image(path)
    eta = ud.Gaussian(STD)
    y = eta.sample(x, torch.Generator().manual_seed(1000 + i))
    y = rounded(y) if eight_bit else y
    return x, ud.Measurement(y, ud.Identity(), eta)


def with_oracle(x: torch.Tensor, measurement: ud.Measurement, around: float) -> float:
    weights = [around * factor for factor in FACTORS]
    restored = (ud.Variational(weight=w).restore(measurement).x for w in weights)
    return max(table.score(r, x) for r in restored)


def row(eight_bit: bool, every: int) -> dict[str, object]:
    scores: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        scores.setdefault(name, []).append(value)

    for i, path in table.pictures("cbsd68", every):
        x, m = measured(path, i, eight_bit)
        began = time.perf_counter()
        note("automatic", table.score(ud.Variational().restore(m).x, x))
        note("seconds", time.perf_counter() - began)
        note("noisy", table.score(m.y, x))
        note("weight 1.1/σ", table.score(ud.Variational(weight=1.1 / STD).restore(m).x, x))
        discrepancy = ud.Variational(rule=ud.Discrepancy()).restore(m)
        note("discrepancy", table.score(discrepancy.x, x))
        note("oracle", with_oracle(x, m, 1.1 / STD))
        print(path.name, {k: round(v[-1], 2) for k, v in scores.items()}, flush=True)
    noise = "8-bit" if eight_bit else "float"
    columns = ("noisy", "automatic", "oracle", "weight 1.1/σ", "discrepancy", "seconds")
    means = {name: table.mean(scores[name]) for name in columns}
    return {"noise": noise, "pictures": len(scores["noisy"]), **means}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    every = parser.parse_args().every
    rows = [row(True, every), row(False, every)]
    table.write("tv_denoising", f"python -m benchmarks.tv_denoising --every {every}", rows)


if __name__ == "__main__":
    main()
