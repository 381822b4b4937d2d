"""Which cell to take for noise: half a dozen, each trained for the same processor time.

    python -m benchmarks.learned_cells train [--seconds 400]
    python -m benchmarks.learned_cells measure [--every 8]

All are machines for noise alone (`denoising`), begun at random numbers and trained by
`undegrade.train` on the same crops and draws. Their numbers of iterations take `--seconds` of
processor time each, by the pace of single updates that all made in turns. `measure` gives the mean
PSNR on CBSD68 in color with float noise, what eight ways to lay the picture down add at σ = 25 on
every other of these pictures, and the processor time of one thread for 321×481, the least of
several turns. Weights and checkpoints stay in `runs/learned_cells`.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

import undegrade as ud
from benchmarks import table
from benchmarks.equal_time import ROUNDS, milliseconds, plan, teach
from benchmarks.learned_denoising import measured
from undegrade.machines.architecture import ARCHITECTURES, Architecture
from undegrade.machines.weight_file import load_weights
from undegrade.networks.multiscale_cell import MultiscaleSettings
from undegrade.restorers.recurrent_inference import RecurrentInference
from undegrade.training.mixture import Mixture
from undegrade.training.settings import TrainingSettings

FOLDER = Path("runs") / "learned_cells"
SMALL = MultiscaleSettings(middle=3)  # what shipped then
LARGE = MultiscaleSettings(before=(2,), middle=8, after=(2,))
THREE_LEVELS = MultiscaleSettings(widths=(64, 96, 128), before=(1, 1), middle=2, after=(1, 1))
FLAT = MultiscaleSettings(widths=(64,), before=(), middle=6, after=())
CELLS: dict[str, tuple[MultiscaleSettings, int]] = {
    "U 64–96, blocks 1, 3, 1": (SMALL, 2),
    "U 64–96, blocks 1, 3, 1, one step": (SMALL, 1),
    "U 64–96, blocks 2, 8, 2, one step": (LARGE, 1),
    "U 64–96, blocks 2, 8, 2": (LARGE, 2),
    "U 64–96–128, blocks 1, 1, 2, 1, 1": (THREE_LEVELS, 2),
    "flat 64, 6 blocks": (FLAT, 2),
}
STDS = (15, 25, 50)
ENSEMBLE_STD = 25


def settings(name: str, iterations: int) -> TrainingSettings:
    """The training of one machine; only the machine and the length differ."""
    cell, steps = CELLS[name]
    return TrainingSettings(
        images=tuple(table.DATA / folder for folder in ("bsds500/train", "bsds500/test")),
        output=FOLDER / str(list(CELLS).index(name)),
        architecture=replace(ARCHITECTURES["denoising"], cell=cell, steps=steps),
        mixture=Mixture(denoising=1.0, deblurring=0.0, super_resolution=0.0, inpainting=0.0),
        iterations=iterations,
        batch=8,
        crops=(48, 48),
        scales=(1.0, 0.7),
        kernel_rate=0.008,
        learning_rate=1e-3,
        cool_down=0.8,
        average=0.99,
        save_every=250,
        precision="32-true",
        accelerator="cpu",
    )


def pilots() -> Mapping[str, TrainingSettings]:
    """All trainings, for their paces."""
    return {name: settings(name, 10_000) for name in CELLS}


def mean_psnr(restorer: RecurrentInference, every: int, std: int) -> float:
    """On CBSD68 in color, float noise."""
    scores = list[float]()
    for i, path in table.pictures("cbsd68", every):
        x, y = measured(path, i, "color", "float", std)
        m = ud.Measurement(y, ud.Identity(), ud.Gaussian(std / 255))
        scores.append(table.score(restorer.restore(m).x, x))
    return table.mean(scores, 3)


def restoration_times(files: Mapping[str, Path]) -> dict[str, float]:
    """Milliseconds of every machine for a picture of 321×481."""
    x, y = measured(table.pictures("cbsd68")[0][1], 0, "color", "float", ENSEMBLE_STD)
    del x
    m = ud.Measurement(y, ud.Identity(), ud.Gaussian(ENSEMBLE_STD / 255))
    restorers = {name: RecurrentInference(weights=path) for name, path in files.items()}
    return milliseconds({n: lambda r=r: r.restore(m) for n, r in restorers.items()}, ROUNDS // 2)


def parameters(architecture: Architecture) -> int:
    return sum(p.numel() for p in architecture.build().parameters())


def measure(every: int) -> list[table.Row]:
    """One row per machine."""
    torch.set_flush_denormal(True)
    planned = plan(FOLDER, 0, pilots)
    files = {r["machine"]: FOLDER / str(i) / "weights.safetensors" for i, r in enumerate(planned)}
    took, rows = restoration_times(files), list[table.Row]()
    for row in planned:
        name = row["machine"]
        single = RecurrentInference(weights=files[name])
        psnrs = {f"σ {std}": mean_psnr(single, every, std) for std in STDS}
        alone, turned = (
            mean_psnr(replace(single, ensemble=n), 2 * every, ENSEMBLE_STD) for n in (1, 8)
        )
        rows.append(
            {
                "cell": name,
                "steps": row["steps"],
                "parameters": f"{parameters(load_weights(files[name])[1]) / 1e6:.2f} M",
                "iterations": row["iterations"],
                **{task: round(value, 2) for task, value in psnrs.items()},
                "ensemble of 8": f"{turned - alone:+.2f}",
                "ms": round(took[name]),
            }
        )
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("train", "measure"))
    parser.add_argument("--seconds", type=float, default=400.0)
    parser.add_argument("--every", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.command == "train":
        for row in plan(FOLDER, options.seconds, pilots):
            teach(settings(row["machine"], int(row["iterations"])))
    else:
        command = f"python -m benchmarks.learned_cells measure --every {options.every}"
        table.write("learned_cells", command, measure(options.every))


if __name__ == "__main__":
    main()
