"""What the parts of the universal machine contribute, without training it anew.

    python -m benchmarks.learned_ablation [--every 8]

Mean PSNR on CBSD68 of the start, the first step and more steps than in training; of the last move
into the band of the measurement (`finish`) left out; and of fewer and more conjugate gradient
iterations per preconditioned step. Same noise draws in all rows.
"""

import argparse
import copy
from collections.abc import Callable

import torch

import undegrade as ud
from benchmarks import learned_inverse as inverse
from benchmarks import table
from undegrade.core.solver import advance
from undegrade.restorers.first_estimate import first_estimate
from undegrade.restorers.recurrent_inference import WEIGHTS
from undegrade.restorers.rim_weights import load_weights
from undegrade.solvers.evidence import PreconditionedEvidence
from undegrade.solvers.rim import RIM


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
    found["shake, valid"] = list(inverse.shake(table.DATA, every))
    found["×2"] = list(inverse.resolution(table.DATA, every))
    return found


def variants() -> dict[str, Callable[[ud.Measurement], torch.Tensor]]:
    """Changes to the machine, as functions of the measurement."""
    rim, design, _ = load_weights(WEIGHTS / "universal.safetensors")
    rim = rim.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def run(machine: RIM, steps: int, finish: bool) -> Callable[[ud.Measurement], torch.Tensor]:
        def restored(m: ud.Measurement) -> torch.Tensor:
            problem = ud.Fidelity(m.operator, m.likelihood, m.y)
            with torch.no_grad():
                state = advance(machine, problem, first_estimate(m), steps)
                x = machine.evidence.finish(problem, state.known, state.x) if finish else state.x
            return x.clamp(0, 1)

        return restored

    def iterations(count: int) -> RIM:
        machine = copy.deepcopy(rim)
        assert isinstance(machine.evidence, PreconditionedEvidence)
        machine.evidence.inner = count
        return machine

    return {
        "as shipped": run(rim, design.steps, True),
        "start only": run(rim, 0, False),
        "one step": run(rim, 1, True),
        "three steps": run(rim, 3, True),
        "without finish": run(rim, design.steps, False),
        "1 inner iteration": run(iterations(1), design.steps, True),
        "8 inner iterations": run(iterations(8), design.steps, True),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=8)
    every = parser.parse_args().every
    tasks, rows = trials(every), []
    for name, restored in variants().items():
        scores = {
            task: table.mean([inverse.score(t, restored(t.measurement)) for t in some])
            for task, some in tasks.items()
        }
        rows.append({"machine": name, **scores})
        print(rows[-1], flush=True)
    command = f"python -m benchmarks.learned_ablation --every {every}"
    table.write("learned_ablation", command, rows)


if __name__ == "__main__":
    main()
