"""Early stopping of the deep image prior without the truth, on the 16 public draws of noise.

    python -m benchmarks.dip_stopping [--size 64] [--iterations 500] [--pictures F16_Gaussian_2 …]

F16 and House, Gaussian, impulse, shot and speckle noise of two levels, as stored in 8 bits, cut to
the center. Each is fitted in squares in whole, under the rule of the variance; without what is held
out, and then again in whole; and recorrupted, as Gaussian noise whose level is estimated. The gap
of a rule is the PSNR of the picture that it ends with, against the best one of the whole fit. Every
row is kept as it is found, and the same command goes on.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import undegrade as ud
from benchmarks import table
from undegrade.files.tables import append_row, read_rows
from undegrade.machines.refitted import judged_best

FOLDER = table.DATA / "dip_stopping"
RULES = ("variance", "held-out", "recorrupted")
_PATIENCE = 150  # less than that of the method, for time


def pair(name: str, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Truth and noisy picture, the center of both."""
    found = list[torch.Tensor]()
    for stem in (f"{name.partition('_')[0]}_clean", name):
        array = np.load(FOLDER / f"{stem}.npz")["arr_0"]
        x = torch.from_numpy(array).float().reshape(-1, *array.shape[-3:])
        x = x.permute(0, 3, 1, 2) if x.shape[-1] in (1, 3) else x
        top, left = ((n - size) // 2 for n in x.shape[2:])
        found.append(x[..., top : top + size, left : left + size].contiguous() / 255)
    return found[0], found[1]


def fitted(
    y: torch.Tensor, x: torch.Tensor, rule: str, iterations: int
) -> tuple[list[float], float, int]:
    """PSNR of every picture, that of the kept one, and the iteration at which it was kept."""
    scores, kept = list[float](), list[tuple[int, torch.Tensor]]()

    def watch(iteration: int, state: Any) -> dict[str, torch.Tensor]:
        scores.append(table.score(state.x, x))
        kept.append((iteration, state.x))
        return {}

    method = ud.UntrainedNetwork(
        loss="gaussian",
        widths=(16, 32, 64),
        stopping=rule,  # pyright: ignore[reportArgumentType]
        iterations=iterations,
        patience=1000 if rule == "variance" else _PATIENCE,
    )
    result = method.restore(ud.Measurement(y), observe=(watch,))
    if rule == "held-out":
        at = judged_best(result)[0]
    else:
        at = next((i for i, picture in kept if torch.equal(picture, result.x)), 0)  # 0: the start
    return scores, table.score(result.x, x), at


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=500)
    parser.add_argument("--pictures", nargs="+")
    asked = parser.parse_args()
    names = asked.pictures or sorted(p.stem for p in FOLDER.glob("*.npz") if "clean" not in p.stem)
    path = table.RESULTS / f"dip_stopping_{asked.size}.csv"
    for name in names:
        done = {row["picture"] for row in read_rows(path)} if path.exists() else set()
        if name not in done:
            append_row(path, measured(name, asked.size, asked.iterations))
    rows = read_rows(path)
    command = (
        f"python -m benchmarks.dip_stopping --size {asked.size} --iterations {asked.iterations}"
    )
    table.write(f"dip_stopping_{asked.size}_summary", command, [*rows, *summary(rows)])


def measured(name: str, size: int, iterations: int) -> dict[str, object]:
    x, y = pair(name, size)
    scores, best, at = fitted(y, x, "variance", iterations)
    peak = max(scores)
    row: dict[str, object] = {
        "picture": name,
        "noisy": f"{table.score(y, x):.2f}",
        "last": f"{scores[-1]:.2f}",
        "peak": f"{peak:.2f}",
        "peak at": scores.index(peak) + 1,
        "variance at": at,
        "variance": f"{peak - best:.2f}",
    }
    for rule in RULES[1:]:
        _, best, at = fitted(y, x, rule, iterations)
        row |= {f"{rule} at": at, rule: f"{peak - best:.2f}"}
    print(row, flush=True)
    return row


def summary(rows: list[dict[str, str]]) -> list[dict[str, object]]:
    """Mean and worst gap of every rule, and how many are within 0.5 and 1 dB."""
    gaps = {rule: [float(row[rule]) for row in rows] for rule in RULES}
    kinds: dict[str, Callable[[list[float]], str]] = {
        "mean": lambda g: f"{sum(g) / len(g):.2f}",
        "worst": lambda g: f"{max(g):.2f}",
        "within 0.5 dB": lambda g: f"{sum(v <= 0.5 for v in g)} of {len(g)}",
        "within 1 dB": lambda g: f"{sum(v <= 1 for v in g)} of {len(g)}",
    }
    empty = dict.fromkeys(rows[0], "")
    return [
        empty | {"picture": kind} | {rule: count(gap) for rule, gap in gaps.items()}
        for kind, count in kinds.items()
    ]


if __name__ == "__main__":
    main()
