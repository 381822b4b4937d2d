"""The two-dimensional analytic deep prior: time to the upper loss of the published method.

    python -m benchmarks.analytic_deep_prior_2d

min_B ½‖A x(B) − y‖² + 100·S(B − A) on two 300×400 color photographs, noise 5/255, from B = A, as
`undegrade reproduce analytic-deep-prior-2d` does it (L-BFGS on implicit hypergradients), and as
published, rewritten from the papers: hypergradient steps with inexact lower solutions (accelerated
gradient steps, at most 200, until ‖∇‖ ≤ ε), first step 1e-6, ε = 1, 3 trials shortened by 0.1,
growth 1.5, ε halved where no trial descends, 41 outer steps or until eight of them gain less than
0.001; and the same with ε = 0.03 and a first step of 1e-3, which is better. Their losses are at
their own inexact solutions; "exact" is the loss of their kernel at the converged one. Processor
time of one thread. "s to" is the time until the loss is at most the least of the references'.
"""

import math
import time
from collections.abc import Iterator

import torch
from torch import Tensor

import undegrade as ud
from benchmarks import table
from undegrade.experiments.analytic_deep_prior_2d import (
    BELIEVED,
    BETA,
    WAYS,
    WEIGHT,
    learned,
    measured,
    objective,
    photograph,
    total_variation,
    upper_loss,
)
from undegrade.linear_algebra.conjugate_gradient import conjugate_gradient

OUTER, INNER, TRIALS, STILL, GAINED = 41, 200, 3, 8, 1e-3
GIVEN = BELIEVED[None, None]
DISTANCE = ud.Sobolev(GIVEN)
Found = tuple[float, float, Tensor, Tensor]  # seconds, loss, kernel, picture


def lower(kernel: Tensor, y: Tensor, x: Tensor, epsilon: float) -> Tensor:
    """Accelerated gradient steps of 1/L from x."""
    h, z, t = objective(kernel, y), x, 1.0
    smoothness = float(kernel.abs().sum()) ** 2 + 8 * WEIGHT / 1e-2
    for _ in range(INNER):
        slope = h.value_and_grad(z)[1]
        if float(slope.norm()) <= epsilon:
            break
        before, x = x, z - slope / smoothness
        after = (1 + math.sqrt(1 + 4 * t * t)) / 2
        z, t = x + (t - 1) / after * (x - before), after
    return z


def slope(kernel: Tensor, y: Tensor, x: Tensor, accuracy: float) -> Tensor:
    """The hypergradient by conjugate gradients, with the penalty's."""
    of_x = ud.Blur(BELIEVED, "replicate").adjoint(ud.Blur(BELIEVED, "replicate")(x) - y)
    h = objective(kernel, y)
    q = conjugate_gradient(lambda v: h.hvp(x, v), of_x, tolerance=accuracy, iterations=INNER).x

    def along(k: Tensor) -> Tensor:
        blur = ud.Blur(k, "replicate")
        return -(blur.adjoint(blur(x) - y) * q).sum()

    return torch.func.grad(along)(kernel) + BETA * DISTANCE.value_and_grad(kernel)[1]


def reference(y: Tensor, epsilon: float, step: float) -> Iterator[Found]:
    def loss(k: Tensor, x: Tensor) -> float:
        return upper_loss(x, y) + BETA * float(DISTANCE(k))

    kernel, began = GIVEN.clone(), time.process_time()
    x = lower(kernel, y, y, epsilon)
    value = loss(kernel, x)
    values = [math.inf] * (STILL - 1) + [value]
    for _ in range(OUTER):
        z = slope(kernel, y, x, 0.1 * min(epsilon, 0.1))
        for _ in range(TRIALS):
            trial = kernel - step * z
            ahead = lower(trial, y, x, epsilon)
            reached = loss(trial, ahead)
            if reached <= value - 1e-4 * step * float(z.square().sum()):
                kernel, x, value, step = trial, ahead, reached, 1.5 * step
                break
            step *= 0.1
        else:
            epsilon *= 0.5
        yield time.process_time() - began, value, kernel, x
        values.append(value)
        if values[-STILL] - value < GAINED:
            return


def rows(name: str) -> list[dict[str, object]]:
    x = photograph(next((table.DATA / "analytic_prior").glob(f"{name}.*")), small=False)
    y, found = measured(x), list[dict[str, object]]()
    began = time.process_time()
    converged = total_variation(y, WEIGHT)

    def add(method: str, s: float, loss: float, exact: object, picture: Tensor) -> None:
        decibels = round(table.score(picture, x), 2)
        seconds = round(s, 1)
        row = {"picture": name, "method": method, "s": seconds, "loss": round(loss, 3)}
        found.append({**row, "exact": exact, "dB": decibels, "s to": "", "dB there": ""})
        print(found[-1], flush=True)

    add("TV, weight e⁻⁶", time.process_time() - began, upper_loss(converged, y), "", converged)
    least = math.inf
    for label, epsilon, step in (("as published", 1.0, 1e-6), ("ε = 0.03", 0.03, 1e-3)):
        *_, (s, loss, kernel, picture) = reference(y, epsilon, step)
        again = total_variation(y, WEIGHT, kernel)
        exact = upper_loss(again, y) + BETA * float(DISTANCE(kernel))
        add(label, s, loss, round(exact, 3), picture)
        least = min(least, loss)
    run = learned(WAYS["IFT"], y, x)
    end = run.points[-1]
    again = total_variation(y, WEIGHT, run.kernel)
    exact = upper_loss(again, y) + BETA * float(DISTANCE(run.kernel))
    add("IFT", end.seconds, end.loss, round(exact, 3), run.x)
    there = next(p for p in run.points if p.loss <= least)
    found[-1].update({"s to": round(there.seconds, 1), "dB there": round(there.decibels, 2)})
    return found


def main() -> None:
    torch.set_num_threads(1)
    found = [row for name in ("nessy", "bath") for row in rows(name)]
    table.write("analytic_deep_prior_2d", "python -m benchmarks.analytic_deep_prior_2d", found)


if __name__ == "__main__":
    main()
