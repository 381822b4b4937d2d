"""Gross sparse corruption of unknown kind: double over-parameterization beside what else there is.

    python -m benchmarks.sparse_corruption [--pictures F16 …] [--size N] [--iterations N]

Nothing is told to the methods but what their name says: `mask-aware` takes the entries that are
exactly 0 or 1 as lost, which is nearly the truth for salt and pepper and useless for the others;
`oracle median` is the best of three windows by the truth. Pictures are cut to their center. For
double over-parameterization the table has the last iterate, and the best one by the truth beside
it: the difference is what stopping early would be worth.
"""

import argparse
import time
from collections.abc import Callable, Mapping

import torch
from torch.nn import functional

import undegrade as ud
from benchmarks import table

Corrupt = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


def salt_and_pepper(fraction: float) -> Corrupt:
    def corrupt(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        y = ud.SaltAndPepper(fraction).sample(x, generator)
        return torch.where((y == 0) | (y == 1), y, x)

    return corrupt


def random_values(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """30 % of the entries take a value that is uniform in [0, 1]."""
    where = torch.rand(x.shape, generator=generator) < 0.3
    return torch.where(where, torch.rand(x.shape, generator=generator), x)


def dead_lines(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Every tenth column, at random, stuck at a value of its own in each channel."""
    lines = torch.rand(1, 1, 1, x.shape[3], generator=generator) < 0.1
    return torch.where(lines, torch.rand(1, x.shape[1], 1, x.shape[3], generator=generator), x)


def text(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Lines of white text, as an overlay that somebody forgot to take off."""
    from PIL import Image, ImageDraw

    del generator
    height, width = x.shape[2:]
    page = Image.new("L", (width, height))
    pen = ImageDraw.Draw(page)
    for row in range(4, height, 20):
        pen.text((4, row), "the quick brown fox jumps over the lazy dog " * 4, fill=255)
    ink = torch.tensor(list(page.getdata()), dtype=x.dtype).reshape(1, 1, height, width) / 255
    return x + ink * (0.9 - x)


KINDS: Mapping[str, Corrupt] = {
    "salt and pepper 30 %": salt_and_pepper(0.3),
    "salt and pepper 50 %": salt_and_pepper(0.5),
    "random values 30 %": random_values,
    "dead columns": dead_lines,
    "text": text,
}


def median(y: torch.Tensor, window: int) -> torch.Tensor:
    """The median of each channel over a square window."""
    margin = window // 2
    around = functional.unfold(functional.pad(y, (margin,) * 4, mode="reflect"), window)
    return around.reshape(*y.shape[:2], window**2, -1).median(2).values.reshape(y.shape)


def measured(y: torch.Tensor, likelihood: ud.Likelihood) -> ud.Measurement:
    return ud.Measurement(y, ud.Identity(), likelihood)


def peers(y: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
    """PSNR of everything but the untrained network."""
    noise = ud.Gaussian(ud.estimate_noise_std(y))
    restored = {
        "corrupted": y,
        "TV-L1": ud.Variational().restore(measured(y, ud.Laplace(0.1))).x,
        "learned, told nothing": ud.RecurrentInference().restore(measured(y, noise)).x,
        "mask-aware TV": ud.Variational().restore(measured(y, ud.SaltAndPepper(0.5))).x,
    }
    scores = {name: table.score(x, truth) for name, x in restored.items()}
    return scores | {"oracle median": max(table.score(median(y, n), truth) for n in (3, 5, 7))}


def untrained(y: torch.Tensor, truth: torch.Tensor, iterations: int) -> dict[str, float]:
    """PSNR of the last iterate and of the best one, and seconds."""
    seen = list[float]()

    def watch(iteration: int, state: ud.State) -> dict[str, torch.Tensor]:
        if iteration % 50 == 0:
            seen.append(table.score(state.x, truth))
            print(f"  {iteration:6d} {seen[-1]:.2f} dB", flush=True)
        return {}

    began = time.perf_counter()
    method = ud.RobustUntrainedNetwork(iterations=iterations)
    result = method.restore(measured(y, ud.Gaussian(0.1)), observe=(watch,))
    last = table.score(result.x, truth)
    return {
        "double over-parameterization": last,
        "its best iterate": max(*seen, last),
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", nargs="+", default=["F16"])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--iterations", type=int, default=2000)
    asked = parser.parse_args()
    rows = list[table.Row]()
    for name in asked.pictures:
        x = ud.read_image(table.DATA / "double_overparam" / f"{name}.png")
        top, left = ((n - asked.size) // 2 for n in x.shape[2:])
        x = x[..., top : top + asked.size, left : left + asked.size].contiguous()
        for kind in asked.kinds:
            y = KINDS[kind](x, torch.Generator().manual_seed(1))
            scores = peers(y, x) | untrained(y, x, asked.iterations)
            rows.append({"picture": name, "corruption": kind} | _rounded(scores))
    table.write(
        "sparse_corruption",
        f"python -m benchmarks.sparse_corruption --pictures {' '.join(asked.pictures)}"
        f" --size {asked.size} --iterations {asked.iterations}",
        rows,
    )


def _rounded(scores: Mapping[str, float]) -> dict[str, object]:
    return {name: f"{score:.2f}" for name, score in scores.items()}


if __name__ == "__main__":
    main()
