"""What the parts of the universal machine contribute, without training it anew.

    python -m benchmarks.learned_ablation [--every 8]

Mean PSNR on CBSD68 of the start, of the first steps, and of machines built for fewer and more
steps; of the weights for noise put into the same iteration untrained; of the last move into the
band of the measurement (`finish`) left out; and of fewer and more conjugate gradient iterations.
Same noise draws in all rows.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

import undegrade as ud
from benchmarks import learned_inverse as inverse
from benchmarks import table
from undegrade.core.solver import advance
from undegrade.learned.least_squares_features import LeastSquaresFeatures
from undegrade.learned.rim import RIM
from undegrade.learned.schedule import ListedErrors
from undegrade.machines.architecture import ARCHITECTURES
from undegrade.machines.weight_file import load_weights
from undegrade.restorers.initial import first_estimate
from undegrade.restorers.recurrent_inference import WEIGHTS, restored_by


def trials(every: int) -> dict[str, list[inverse.Trial]]:
    """Denoising, deblurring, super-resolution and inpainting."""
    found: dict[str, list[inverse.Trial]] = {}
    source = inverse.Source(table.DATA, every)
    for i, x in enumerate(source.pictures()):
        found.setdefault("σ 25", []).append(
            inverse.Trial("", x, inverse.noisy(x, ud.Identity(), 25.0, i))
        )
        mask = ud.Mask((torch.rand(1, 1, *x.shape[-2:], generator=inverse.dice(i)) > 0.5).float())
        lost = ud.Measurement(mask(x), mask, ud.Gaussian(0.5 / 255))
        found.setdefault("50 % missing", []).append(inverse.Trial("", x, lost))
        square = ud.Blur(torch.full((9, 9), 1 / 81), "reflect")
        exact = inverse.Trial("", x, inverse.noisy(x, square, 0.0, i))
        found.setdefault("9×9 box, exact", []).append(exact)
    found["shake, valid"] = list(inverse.shake(source))
    found["×2"] = list(inverse.resolution(source))
    return found


def machine(steps: int = 4, cg_iterations: int = 6) -> RIM:
    """The universal machine, built for other steps or conjugate gradient iterations."""
    trained, architecture, _ = load_weights(WEIGHTS / "universal.safetensors")
    features = architecture.features
    assert isinstance(features, LeastSquaresFeatures)
    features = replace(features, cg_iterations=cg_iterations)
    rim = RIM(trained.cell, features, trained.parametrization, steps=steps)
    return rim.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def split(path: Path) -> RIM:
    """Weights for noise in the iteration of the universal ones, as they are.

    Of its inputs (z, residual, move, coverage, τ, σ, memory) a denoiser knows z and the noise
    level, which is τ here. The coverage and the expected error were constants in its training and
    join the bias; everything else counts for nothing.
    """
    denoiser, architecture, _ = load_weights(path)
    features, colors = architecture.features, architecture.colors
    assert isinstance(features, LeastSquaresFeatures)
    assert isinstance(features.schedule, ListedErrors)
    values = denoiser.state_dict()
    kernels = values["cell.enter.weight"]  # pixel-unshuffled: four inputs a channel of the features
    inputs = kernels[:, : 4 * features.channels(colors)].unflatten(1, (-1, 4))
    coverage = inputs[:, features.part("coverage", colors)]
    error, level = (inputs[:, features.part(n, colors)] for n in ("expected error", "noise level"))
    constant = coverage.sum((1, 2, 3, 4)) + features.schedule.values[0] * error.sum((1, 2, 3, 4))
    values["cell.enter.bias"] += constant
    error.copy_(level.clone())
    shown = slice(features.part("residual", colors).start, features.part("coverage", colors).stop)
    inputs[:, shown] = 0
    level.zero_()
    kernels[:, 4 * features.channels(colors) :] = 0
    architecture = replace(ARCHITECTURES["universal"], colors=colors, cell=architecture.cell)
    rim = architecture.build()
    rim.load_state_dict(values)
    return rim


def plug_and_play(steps: int) -> RIM:
    """The weights for noise in the same iteration, untrained: what the training started from."""
    rim = split(WEIGHTS / "denoising.safetensors")
    return rim.with_steps(steps).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def unfinished(rim: RIM, steps: int, m: ud.Measurement) -> torch.Tensor:
    """The estimate after some steps, without the last move into the band of the measurement."""
    problem = ud.Fidelity(m.operator, m.likelihood, m.y)
    with torch.no_grad():
        return advance(rim, problem, first_estimate(m), steps).x.clamp(0, 1)


def first(rim: RIM, steps: int, m: ud.Measurement) -> torch.Tensor:
    """The estimate after the first of more steps, moved into the band."""
    problem = ud.Fidelity(m.operator, m.likelihood, m.y)
    with torch.no_grad():
        state = advance(rim, problem, first_estimate(m), steps)
        return rim.features.finish(problem, state.prepared, state.x).clamp(0, 1)


def whole(rim: RIM, m: ud.Measurement) -> torch.Tensor:
    """The estimate that would be shipped."""
    return restored_by(rim, m).x


def variants() -> dict[str, Callable[[ud.Measurement], torch.Tensor]]:
    """Changes to the machine, as functions of the measurement."""
    return {
        "universal": partial(whole, machine()),
        "weights for noise, 4 steps": partial(whole, plug_and_play(4)),
        "weights for noise, 8 steps": partial(whole, plug_and_play(8)),
        "start only": partial(unfinished, machine(), 0),
        **{f"first {n} of 4 steps": partial(first, machine(), n) for n in (1, 2, 3)},
        **{f"{n} steps": partial(whole, machine(n)) for n in (2, 3, 6, 8)},
        "without finish": partial(unfinished, machine(), 4),
        **{f"{n} cg iterations": partial(whole, machine(4, n)) for n in (1, 3, 12)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=8)
    every = parser.parse_args().every
    tasks, rows = trials(every), []
    for name, estimate in variants().items():
        scores = {
            task: table.mean([inverse.score(t, estimate(t.measurement)) for t in some])
            for task, some in tasks.items()
        }
        rows.append({"machine": name, **scores})
        print(rows[-1], flush=True)
    command = f"python -m benchmarks.learned_ablation --every {every}"
    table.write("learned_ablation", command, rows)


if __name__ == "__main__":
    main()
