"""Learned Gauss–Newton against learned gradient descent behind a camera, at equal time.

    python -m benchmarks.learned_gauss_newton train [--seconds 1100]
    python -m benchmarks.learned_gauss_newton measure [--every 8] [--crop 96]

Machines around the same cell, trained by `undegrade.train` on random blurs seen through the
response of a camera: damped Gauss–Newton steps whose damping is predicted, the same with the
damping of a fixed schedule, and gradient steps that are told the noise level. Gradient steps are
cheaper: that machine has so many of them that a restoration takes as long as four Gauss–Newton
steps, their conjugate gradient iterations included. Each machine is trained for as many iterations
as take `--seconds` of processor time, counted from single updates that all of them made in turns;
so all are on one scale, however busy the computer is. Crops, draws and step sizes are the same.

Trainings have two parts, of two thirds and a third of the time, with step sizes that rise and fall
in each. Predicted damping is fixed in the first part (its machine is the other one there) and
learned in the second: learned from the start it is made for a cell that cannot denoise yet.

`measure` restores crops of CBSD68 behind gamma 2.2, with 11 pixels of motion blur and with kernels
that no training drew, σ = 0.02; total variation with the camera in its model, and the best of five
weights by the truth, stands beside them. Milliseconds are processor time, the least of several
turns. Weights and `train`'s checkpoints stay in `runs/learned_gauss_newton`.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

import undegrade as ud
from benchmarks import table
from benchmarks.equal_time import ROUNDS, milliseconds, plan, teach
from benchmarks.nonlinear import BLUR, RESPONSE, STD, best, truths
from undegrade.learned.gauss_newton_features import GaussNewtonSettings
from undegrade.learned.gradient_features import GradientSettings
from undegrade.learned.least_squares_features import LeastSquaresFeatures
from undegrade.machines.architecture import Architecture
from undegrade.machines.weight_file import load_weights
from undegrade.networks.multiscale_cell import MultiscaleSettings
from undegrade.restorers.recurrent_inference import restored_by
from undegrade.training.mixture import Mixture, random_kernels
from undegrade.training.settings import TrainingSettings

FOLDER = Path("runs") / "learned_gauss_newton"
CELL = MultiscaleSettings(middle=3)  # that of the universal weights then
DAMPED = LeastSquaresFeatures(cg_iterations=4)  # its damping begins with τ = 0.15
STEPS = 4
PREDICTED, FIXED = "Gauss–Newton, predicted damping", "Gauss–Newton, fixed damping"
GRADIENT = "gradient descent"
FEATURES = {
    FIXED: DAMPED,
    GRADIENT: GradientSettings(noise_level=True),
    PREDICTED: GaussNewtonSettings(start=DAMPED),
}
FIRST_PART = 2 / 3  # of the iterations of a training
MIXTURE = Mixture(denoising=0.0, deblurring=0.0, super_resolution=0.0, inpainting=0.0, cameras=1.0)
HELD_OUT = 20261130  # seed of kernels; trainings draw theirs from 0


def architecture(name: str, steps: int) -> Architecture:
    """Gradient steps are taken in logits, as in the papers: in the picture itself they ran away."""
    parametrization = ud.Sigmoid() if name == GRADIENT else ud.Affine()
    return Architecture(
        cell=CELL, features=FEATURES[name], parametrization=parametrization, steps=steps
    )


def settings(name: str, steps: int, iterations: int, part: int = 1) -> TrainingSettings:
    """A part of the training of one machine; only machine and length differ."""
    return TrainingSettings(
        images=tuple(table.DATA / folder for folder in ("bsds500/train", "bsds500/test")),
        output=FOLDER / f"{name.replace(' ', '_').replace(',', '')}_{part}",
        seed=part,
        architecture=architecture(name, steps),
        mixture=MIXTURE,
        iterations=iterations,
        batch=4,
        crops=(48, 48),
        scales=(0.7,),
        kernel_rate=0.008,
        learning_rate=1e-3,
        warm_up=20,
        cool_down=0.8,
        average=0.98,
        save_every=200,
        precision="32-true",
        accelerator="cpu",
    )


def behind_gamma(x: Tensor, psf: Tensor, seed: int) -> ud.Measurement:
    """Blurred in light, as `cameras` of benchmarks/nonlinear.py, with any kernel."""
    operator = RESPONSE @ ud.Blur(psf, BLUR.boundary) @ RESPONSE.inverse
    noise = ud.Gaussian(STD)
    y = noise.sample(operator(x), torch.Generator().manual_seed(seed))
    return ud.Measurement(y, operator, noise)


def machine(name: str, steps: int) -> ud.RIM:
    """Untrained, but for a last layer that does something, so that no step is like the last."""
    rim = architecture(name, steps).build()
    torch.nn.init.normal_(rim.get_parameter("cell.leave.weight"), std=1e-4)
    return rim.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def steps_at_equal_time(crop: int) -> int:
    """The fewest gradient steps, an even number, that take as long as the others but for 5 %."""
    torch.manual_seed(0)
    m = behind_gamma(truths(34, crop)[0], ud.motion_psf(length=11, angle=30), 0)
    damped, n = machine(PREDICTED, STEPS), STEPS
    while True:
        rims = {"damped": damped, "gradient": machine(GRADIENT, n)}
        jobs = {name: lambda r=rim: restored_by(r, m) for name, rim in rims.items()}
        took = milliseconds(jobs, ROUNDS)
        print(n, took, flush=True)
        if took["gradient"] >= 0.95 * took["damped"]:
            return n
        n += 2


def pilots() -> dict[str, TrainingSettings]:
    """The first part of all trainings."""
    steps = dict.fromkeys(FEATURES, STEPS) | {GRADIENT: steps_at_equal_time(160)}
    return {name: settings(name, n, 10_000) for name, n in steps.items()}


def train_all(seconds: float) -> None:
    """Train what is not yet trained."""
    for row in plan(FOLDER, seconds, pilots):
        name, steps, iterations = row["machine"], int(row["steps"]), int(row["iterations"])
        first = round(FIRST_PART * iterations)
        if name != PREDICTED:
            teach(settings(name, steps, first))
        before = settings(FIXED if name == PREDICTED else name, steps, first).output
        second = settings(name, steps, iterations - first, part=2)
        teach(replace(second, start_from=before / "weights.safetensors"))


def problems(every: int, crop: int) -> dict[str, list[tuple[ud.Measurement, Tensor]]]:
    """Measurements with their truths."""
    xs = truths(every, crop)
    kernels = random_kernels(torch.Generator().manual_seed(HELD_OUT), per_kind=len(xs))
    chosen = kernels[:: len(kernels) // len(xs)][: len(xs)]
    motion = ud.motion_psf(length=11, angle=30)
    return {
        "11 px of motion": [(behind_gamma(x, motion, i), x) for i, x in enumerate(xs)],
        "other kernels": [
            (behind_gamma(x, psf, i), x) for i, (x, psf) in enumerate(zip(xs, chosen, strict=True))
        ],
    }


def measure(every: int, crop: int) -> list[table.Row]:
    """PSNR and processor time of all machines, and of total variation."""
    torch.set_flush_denormal(True)
    tasks = problems(every, crop)
    trained, about = dict[str, ud.RIM](), dict[str, dict[str, str]]()
    for row in plan(FOLDER, 0, pilots):
        name = row["machine"]
        path = settings(name, 1, 1, part=2).output / "weights.safetensors"
        rim = load_weights(path)[0]
        trained[name] = rim.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        about[name] = row
    example = tasks["11 px of motion"][0][0]
    jobs = {n: lambda r=rim: restored_by(r, example) for n, rim in trained.items()}
    took = milliseconds(jobs, ROUNDS)
    rows = list[table.Row]()
    scores: dict[str, dict[str, list[float]]] = {}
    for name, rim in trained.items():
        scores[name] = {
            task: [table.score(restored_by(rim, m).x, x) for m, x in some]
            for task, some in tasks.items()
        }
        means = {task: table.mean(values) for task, values in scores[name].items()}
        rows.append({**about[name], **means, "ms": round(took[name])})
        print(rows[-1], flush=True)
    variational = {
        task: table.mean([best(m, x, STD) for m, x in some]) for task, some in tasks.items()
    }
    empty = dict.fromkeys(rows[0], "")
    rows.append({**empty, "machine": "total variation", **variational, "ms": _tv_time(example)})
    measured = {
        task: table.mean([table.score(m.y, x) for m, x in some]) for task, some in tasks.items()
    }
    rows.append({**empty, "machine": "measured", **measured})
    for task in tasks:
        gains = {
            name: [a - b for a, b in zip(scores[name][task], scores[GRADIENT][task], strict=True)]
            for name in trained
        }
        for name, values in gains.items():
            print(task, name, [round(v, 2) for v in values], flush=True)
    return rows


def _tv_time(m: ud.Measurement) -> int:
    """Of one weight; its choice is not counted."""
    restorer = ud.Variational(weight=0.7 * 1.1 / STD, iterations=120)
    return round(milliseconds({"": lambda: restorer.restore(m)}, 3)[""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("train", "measure"))
    parser.add_argument("--seconds", type=float, default=1100.0)
    parser.add_argument("--every", type=int, default=8)
    parser.add_argument("--crop", type=int, default=96)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.command == "train":
        train_all(options.seconds)
    else:
        command = f"python -m benchmarks.learned_gauss_newton measure --every {options.every}"
        rows = measure(options.every, options.crop)
        table.write("learned_gauss_newton", f"{command} --crop {options.crop}", rows)


if __name__ == "__main__":
    main()
