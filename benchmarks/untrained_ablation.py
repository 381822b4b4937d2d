"""What each part of the untrained methods brings, in processor time and dB, on a small picture.

    python -m benchmarks.untrained_ablation [--size 96] [--iterations 300]

Every row changes one thing. Deep image prior under Gaussian noise of 0.1, and double
over-parameterization from noise under 50 % salt and pepper, on the center of the photograph of a
cup that comes with scikit-image (no picture of the other tables). `best` is by the truth. The times
are means over the run, in processor time of one thread.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from skimage import data

import undegrade as ud
from benchmarks import table
from undegrade.core.stopping import State
from undegrade.machines.skip_drawing import skip_drawing
from undegrade.untrained.update_rule import SteepestDescent

_WIDTHS = (16, 32, 64)
_EVERY = 10  # iterations between two looks at the truth

Run = Callable[[ud.Measurement, Any], ud.Result[Any]]


def prior(**changed: Any) -> Callable[[int], Run]:
    settings: dict[str, Any] = {"widths": _WIDTHS, "patience": 10**6, "precision": "float32"}
    settings |= {"stopping": "variance"} | changed
    return lambda count: (
        lambda m, look: ud.UntrainedNetwork(iterations=count, **settings).restore(
            m, observe=(look,)
        )
    )


def double(**changed: Any) -> Callable[[int], Run]:
    settings: dict[str, Any] = {"widths": _WIDTHS, "start": "noise", "precision": "float32"}
    settings |= {"delay": 100.0} | changed
    return lambda count: (
        lambda m, look: ud.RobustUntrainedNetwork(iterations=count, **settings).restore(
            m, observe=(look,)
        )
    )


def published(count: int) -> Run:
    """Steepest descent on θ, g and h with the published rates, without an average."""

    def run(m: ud.Measurement, look: Any) -> ud.Result[Any]:
        entries = m.y.numel()
        solver = ud.DoubleOverparametrization(
            drawing=skip_drawing(m.y, _WIDTHS, "reflect", 0),
            update=SteepestDescent(rate=2 / entries),
            sparse=ud.FactorDescent(rate=2000 / entries),
        )
        problem = ud.Fidelity(m.operator, m.likelihood, m.y)
        return ud.solve(solver, problem, m.y, stop=ud.until(iterations=count), observe=(look,))

    return run


NOISE: dict[str, Callable[[int], Run]] = {
    "deep image prior, 16 32 64": prior(),
    "reflection at the border": prior(padding="reflect"),
    "widths 64 64 64": prior(widths=(64, 64, 64)),
    "bfloat16": prior(precision="bfloat16"),
    "no average": prior(decay=0.0),
    "weights fixed, rate 0.01": prior(fit="code"),
    "weights fixed, rate 0.1": prior(fit="code", rate=0.1),
    "weights fixed, rate 0.1, TV": prior(fit="code", rate=0.1, weight=5.0),
}
GROSS: dict[str, Callable[[int], Run]] = {
    "double over-parameterization from noise": double(),
    "weights fixed": double(fit="code"),
    "published descent": published,
    "from the learned start": double(start="learned"),
}


def measured(name: str, run: Run, m: ud.Measurement, x: torch.Tensor, count: int) -> table.Row:
    seen = list[float]()

    def look(iteration: int, state: State) -> dict[str, torch.Tensor]:
        if iteration % _EVERY == 0:
            seen.append(table.score(state.x, x))
        return {}

    began = time.process_time()
    last = table.score(run(m, look).state.x, x)
    seconds = (time.process_time() - began) / count
    row = {
        "what": name,
        "ms per iteration": f"{1000 * seconds:.1f}",
        "last": f"{last:.2f}",
        "best": f"{max(seen):.2f}",
        "at": _EVERY * (seen.index(max(seen)) + 1),
    }
    print(row, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--iterations", type=int, default=300)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    cup = torch.from_numpy(data.coffee().copy()).permute(2, 0, 1)[None].float() / 255
    top, left = ((n - asked.size) // 2 for n in cup.shape[2:])
    x = cup[..., top : top + asked.size, left : left + asked.size].contiguous()
    draw, rows = torch.Generator().manual_seed(1), list[table.Row]()
    for forms, eta in ((NOISE, ud.Gaussian(0.1)), (GROSS, ud.SaltAndPepper(0.5))):
        m = ud.Measurement(eta.sample(x, draw), ud.Identity(), ud.Gaussian(0.1))
        for name, make in forms.items():
            rows.append(measured(name, make(asked.iterations), m, x, asked.iterations))
    command = f"--size {asked.size} --iterations {asked.iterations}"
    table.write("untrained_ablation", f"python -m benchmarks.untrained_ablation {command}", rows)


if __name__ == "__main__":
    main()
