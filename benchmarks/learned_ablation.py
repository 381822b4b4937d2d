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

import torch

import undegrade as ud
from benchmarks import learned_inverse as inverse
from benchmarks import table
from undegrade.core.solver import advance
from undegrade.learned.rim import RIM
from undegrade.restorers.architecture import MultiscaleDesign, SplittingDesign
from undegrade.restorers.initial import first_estimate
from undegrade.restorers.recurrent_inference import WEIGHTS
from undegrade.restorers.weight_file import load_weights, rebuilt


def trials(every: int) -> dict[str, list[inverse.Trial]]:
    """Denoising, deblurring, super-resolution and inpainting."""
    found: dict[str, list[inverse.Trial]] = {}
    for i, x in enumerate(inverse.pictures(table.DATA, every)):
        found.setdefault("σ 25", []).append(
            inverse.Trial("", x, inverse.noisy(x, ud.Identity(), 25.0, i))
        )
        mask = ud.Mask((torch.rand(1, 1, *x.shape[-2:], generator=inverse.dice(i)) > 0.5).float())
        lost = ud.Measurement(mask(x), mask, ud.Gaussian(0.5 / 255))
        found.setdefault("50 % missing", []).append(inverse.Trial("", x, lost))
        square = ud.Blur(torch.full((9, 9), 1 / 81), "reflect")
        exact = inverse.Trial("", x, inverse.noisy(x, square, 0.0, i))
        found.setdefault("9×9 box, exact", []).append(exact)
    found["shake, valid"] = list(inverse.shake(table.DATA, every))
    found["×2"] = list(inverse.resolution(table.DATA, every))
    return found


def machine(steps: int = 4, inner: int = 6) -> RIM:
    """The universal machine, built for other steps or conjugate gradient iterations."""
    trained, design, _ = load_weights(WEIGHTS / "universal.safetensors")
    assert isinstance(design, SplittingDesign)
    rim = rebuilt(trained, replace(design, steps=steps, inner=inner))
    return rim.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def plug_and_play(steps: int) -> RIM:
    """The weights for noise in the same iteration, as they are: what the training started from.

    Of its inputs (z, residual, move, coverage, τ, σ, memory) a denoiser knows z and the noise
    level, which is τ here. The coverage and the expected error were constants in its training and
    join the bias; everything else counts for nothing.
    """
    denoiser, design, _ = load_weights(WEIGHTS / "denoising.safetensors")
    assert isinstance(design, MultiscaleDesign)
    rim = SplittingDesign(steps=steps).build()
    rim.get_submodule("cell").load_state_dict(denoiser.get_submodule("cell").state_dict())
    enter = rim.get_submodule("cell.enter")
    assert isinstance(enter, torch.nn.Conv2d)
    assert enter.bias is not None
    kernels = enter.weight.detach()  # pixel-unshuffled: four inputs per channel of the evidence
    coverage, error = kernels[:, 4 * 9 : 4 * 12], kernels[:, 4 * 13 : 4 * 14]
    enter.bias.detach().add_(coverage.sum((1, 2, 3)) + design.errors[0] * error.sum((1, 2, 3)))
    kernels[:, 4 * 3 : 4 * 12] = 0
    kernels[:, 4 * 13 :] = 0
    return rim.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def restored(rim: RIM, steps: int, finish: bool, m: ud.Measurement) -> torch.Tensor:
    """The estimate after some steps."""
    problem = ud.Fidelity(m.operator, m.likelihood, m.y)
    with torch.no_grad():
        state = advance(rim, problem, first_estimate(m), steps)
        x = rim.evidence.finish(problem, state.known, state.x) if finish else state.x
    return x.clamp(0, 1)


def variants() -> dict[str, Callable[[ud.Measurement], torch.Tensor]]:
    """Changes to the machine, as functions of the measurement."""
    return {
        "universal": partial(restored, machine(), 4, True),
        "weights for noise, 4 steps": partial(restored, plug_and_play(4), 4, True),
        "weights for noise, 8 steps": partial(restored, plug_and_play(8), 8, True),
        "start only": partial(restored, machine(), 0, False),
        **{f"first {n} of 4 steps": partial(restored, machine(), n, True) for n in (1, 2, 3)},
        **{f"{n} steps": partial(restored, machine(n), n, True) for n in (2, 3, 6, 8)},
        "without finish": partial(restored, machine(), 4, False),
        **{f"{n} inner": partial(restored, machine(inner=n), 4, True) for n in (1, 3, 12)},
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
