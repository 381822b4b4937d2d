"""How well the noise level is found: all of CBSD68, σ in gray levels.

    python -m benchmarks.noise_level

`error` is the mean of |found − σ|/σ; 8 bit is clipped and rounded, as a file holds it.
"""

import torch

import undegrade as ud
from benchmarks import table

LEVELS = (5, 10, 25, 50)


def found(y: torch.Tensor) -> float:
    return float(ud.estimate_noise_std(y)) * 255


def row(level: int, kind: str, values: list[float]) -> dict[str, object]:
    off = [abs(value - level) / level for value in values]
    return {
        "σ": level,
        "noise": kind,
        "mean": table.mean(values),
        "error, %": table.mean([100 * value for value in off], 1),
        "worst, %": round(100 * max(off), 1),
    }


def main() -> None:
    rows = list[dict[str, object]]()
    for level in LEVELS:
        whole, rounded = list[float](), list[float]()
        for seed, path in table.pictures("cbsd68"):
            x = ud.read_image(path)
            noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
            y = x + level / 255 * noise
            whole.append(found(y))
            rounded.append(found((y.clamp(0, 1) * 255).round() / 255))
        rows += [row(level, "float", whole), row(level, "8 bit", rounded)]
    table.write("noise_level", "python -m benchmarks.noise_level", rows)


if __name__ == "__main__":
    main()
