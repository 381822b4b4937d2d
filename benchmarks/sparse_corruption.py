"""Gross sparse corruption of unknown kind: double over-parameterization beside what else there is.

    python -m benchmarks.sparse_corruption [--pictures F16 …] [--kinds "dead columns" …]
        [--size N] [--iterations N] [--widths N …] [--competitor N]

Nothing is told to the methods but what their name says: `mask-aware` take the entries that are
exactly 0 or 1 as lost, which is nearly the truth for salt and pepper and useless for the others;
`oracle median` is the best of three windows by the truth; `DIP-L1, oracle stop` is the best of all
iterates by the truth, at the same widths, of a run that ends by itself long after its peak.
Pictures are cut to their center. For double over-parameterization the table has the learned start
that it corrects, the last iterate, and the best one by the truth: the difference is what stopping
early would be worth; `_curves.csv` has its PSNR over iterations and seconds, the start included.
Every row is kept as it is found, a run that is interrupted goes on from its checkpoint, and the
same command goes on.
"""

import argparse
import contextlib
import io
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch.nn import functional

import undegrade as ud
from benchmarks import table
from undegrade.files.tables import append_row, read_rows

Corrupt = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
_EVERY = 25  # iterations between two looks at the truth
# A peak is passed after as many iterations again, and some more: the curve has no second one.
_PASSED, _AT_LEAST = 0.5, 200


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
    del generator
    height, width = x.shape[2:]
    page = Image.new("L", (width, height))
    pen = ImageDraw.Draw(page)
    for row in range(4, height, 20):
        pen.text((4, row), "the quick brown fox jumps over the lazy dog " * 4, fill=255)
    ink = torch.from_numpy(np.asarray(page).copy()).to(x).reshape(1, 1, height, width) / 255
    return x + ink * (0.9 - x)


def in_jpeg(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Salt and pepper at 50 %, stored as JPEG of quality 95: corrupted is not 0 or 1 any more."""
    file = io.BytesIO()
    pixels = salt_and_pepper(0.5)(x, generator)[0].permute(1, 2, 0).mul(255).round().byte()
    Image.fromarray(pixels.numpy()).save(file, "JPEG", quality=95, subsampling=0)
    read = torch.from_numpy(np.asarray(Image.open(file)).copy())
    return read.permute(2, 0, 1)[None].float() / 255


SALT = {f"salt and pepper {percent} %": percent / 100 for percent in (10, 30, 50, 70)}
KINDS: Mapping[str, Corrupt] = {
    **{name: salt_and_pepper(fraction) for name, fraction in SALT.items()},
    "in JPEG: salt and pepper 50 %": in_jpeg,
    "random values 30 %": random_values,
    "dead columns": dead_lines,
    "text": text,
}


def median(y: torch.Tensor, window: int) -> torch.Tensor:
    """The median of each channel over a square window."""
    margin = window // 2
    around = functional.unfold(functional.pad(y, (margin,) * 4, mode="reflect"), window)
    return around.reshape(*y.shape[:2], window**2, -1).median(2).values.reshape(y.shape)


def peers(y: torch.Tensor, truth: torch.Tensor, kind: str) -> dict[str, float]:
    """PSNR of everything but the untrained networks."""
    noise = ud.Gaussian(ud.estimate_noise_std(y))
    told = ud.Measurement(y, ud.Identity(), ud.SaltAndPepper(SALT.get(kind, 0.5)))
    restored = {
        "corrupted": y,
        "TV-L1": ud.Variational().restore(ud.Measurement(y, ud.Identity(), ud.Laplace(0.1))).x,
        "learned, told nothing": ud.RecurrentInference()
        .restore(ud.Measurement(y, ud.Identity(), noise))
        .x,
        "mask-aware TV": ud.Variational().restore(told).x,
        "mask-aware learned": ud.RecurrentInference().restore(told).x,
    }
    scores = {name: table.score(x, truth) for name, x in restored.items()}
    return scores | {"oracle median": max(table.score(median(y, n), truth) for n in (3, 5, 7))}


class _PeakIsPassedError(Exception):
    pass


def best_on_the_way(
    asked: argparse.Namespace, y: torch.Tensor, truth: torch.Tensor
) -> dict[str, str]:
    """The best PSNR of DIP-L1, and at which of how many iterations: it ends long after its peak."""
    scores = dict[int, float]()

    def watch(iteration: int, state: ud.State) -> dict[str, torch.Tensor]:
        if iteration % _EVERY == 0:
            scores[iteration] = table.score(state.x, truth)
            if iteration >= (1 + _PASSED) * max(scores, key=scores.__getitem__) + _AT_LEAST:
                raise _PeakIsPassedError
        return {}

    method = ud.UntrainedNetwork(
        loss="laplace",
        iterations=asked.competitor,
        patience=asked.competitor,
        stopping="variance",
        widths=tuple(asked.widths),
    )
    with contextlib.suppress(_PeakIsPassedError):
        method.restore(ud.Measurement(y), observe=(watch,))
    at = max(scores, key=scores.__getitem__)
    found = {"DIP-L1, oracle stop": f"{scores[at]:.2f}", "DIP-L1 at": f"{at} of {max(scores)}"}
    print(found, flush=True)
    return found


def followed(
    asked: argparse.Namespace, y: torch.Tensor, truth: torch.Tensor, name: str
) -> tuple[list[table.Row], float]:
    """PSNR on the way of double over-parameterization, and that of its last picture."""
    began = time.perf_counter()

    def watch(iteration: int, state: ud.State) -> dict[str, torch.Tensor]:
        if iteration != 1 and iteration % _EVERY:
            return {}
        print(f"  {iteration:6d} {table.score(state.x, truth):.2f} dB", flush=True)
        return {
            "PSNR": ud.psnr(state.x, truth),
            "wall": y.new_tensor([time.perf_counter() - began]),
        }

    path = table.RESULTS / f"sparse_corruption-{asked.size}-{name.replace(' ', '_')}.checkpoint"
    method = ud.RobustUntrainedNetwork(
        iterations=asked.iterations, widths=tuple(asked.widths), checkpoint=path
    )
    result = method.restore(ud.Measurement(y), observe=(watch,))
    path.unlink()
    curve = [
        {
            "iteration": record.iteration,
            "s": f"{float(record.values['wall']):.0f}",
            "PSNR": f"{float(record.values['PSNR']):.2f}",
        }
        for record in result.trace
        if "PSNR" in record.values
    ]
    return curve, table.score(result.state.x, truth)


def measured(name: str, kind: str, asked: argparse.Namespace) -> dict[str, object]:
    x = ud.read_image(table.DATA / "double_overparam" / f"{name}.png")
    top, left = (max(n - asked.size, 0) // 2 for n in x.shape[2:])
    x = x[..., top : top + asked.size, left : left + asked.size].contiguous()
    y = KINDS[kind](x, torch.Generator().manual_seed(1))
    print(name, kind, flush=True)
    began = time.perf_counter()
    curve, last = followed(asked, y, x, f"{name} {kind}")
    seconds = time.perf_counter() - began
    size = f"{x.shape[2]}×{x.shape[3]}"
    head = {"picture": name, "pixels": size, "corruption": kind}
    for point in curve:
        append_row(table.RESULTS / f"sparse_corruption_{asked.size}_curves.csv", head | dict(point))
    scores = peers(y, x, kind)
    # the first picture is the start: a correction begins at 0
    scores |= {"learned start": float(str(curve[0]["PSNR"])), "double over-parameterization": last}
    scores["its best iterate"] = max(last, *(float(str(point["PSNR"])) for point in curve))
    rounded = {column: f"{score:.2f}" for column, score in scores.items()}
    oracle = best_on_the_way(asked, y, x) if asked.competitor else {}
    done = {"iterations": asked.iterations, "s": f"{seconds:.0f}"}
    return {**head, **rounded, **oracle, **done}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", nargs="+", default=["F16"])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--widths", nargs="+", type=int, default=[16, 32, 64, 128, 128])
    parser.add_argument("--competitor", type=int, default=0, help="iterations of DIP-L1")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    title = f"sparse_corruption_{asked.size}"
    path = table.RESULTS / f"{title}.csv"
    for name in asked.pictures:
        for kind in asked.kinds:
            rows = read_rows(path) if path.exists() else []
            if not any((row["picture"], row["corruption"]) == (name, kind) for row in rows):
                append_row(path, measured(name, kind, asked))
    command = f"python -m benchmarks.sparse_corruption --size {asked.size}"
    command += f" --widths {' '.join(map(str, asked.widths))}"
    command += f" --competitor {asked.competitor}" if asked.competitor else ""
    table.write(title, f"{command} --iterations … --pictures … --kinds …", read_rows(path))


if __name__ == "__main__":
    main()
