"""Learn what stands inside of a variational problem: the weight of total variation, and filters.

    python docs/tutorials/learn_inside_a_problem.py [--size 96] [--steps 20] [--output DIR]

Two crops of a photograph teach, a third one is restored. A bilevel problem is a functional of its
parameters, so that any smooth solver minimizes it; MAID does so with a bound on its own error.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import skimage
import torch

import undegrade as ud

STD = 25 / 255


def pairs(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Three gray crops of the astronaut, and the same with noise of σ = 25."""
    x = ud.read_image(Path(skimage.__file__).parent / "data" / "astronaut.png").mean(1, True)
    corners = ((30, 150), (200, 60), (300, 300))
    x = torch.cat([x[..., i : i + size, j : j + size] for i, j in corners])
    return x, ud.Gaussian(STD).sample(x, torch.Generator().manual_seed(0))


def bilevel(
    x: torch.Tensor, y: torch.Tensor, prior: Callable[[torch.Tensor], ud.Objective]
) -> ud.Objective:
    """θ ↦ how far the minimizers for all noisy crops are from the truth, in units of the noise.

    θ has one row for all crops: the lower problem of every crop has the same θ.
    """
    stop = ud.until(iterations=200, residual=1e-8)
    lower = ud.LowerLevel(objective=prior, solver=ud.LBFGS(memory=3), stop=stop, start=y)
    error = ud.Fidelity(ud.Identity(), ud.Gaussian(STD * x.numel() ** 0.5), x)
    how = ud.Implicit(tolerance=1e-4)
    return ud.Objective(ud.Bilevel(error, lower, how), ud.Tikhonov(), 0.0)


def learn_weight(x: torch.Tensor, y: torch.Tensor, steps: int) -> float:
    """The weight of total variation, its logarithm learned by L-BFGS and by MAID."""
    data = ud.LeastSquares(ud.Identity(), y, STD)  # it knows that it is strongly convex

    def problem(theta: torch.Tensor) -> ud.Objective:
        weight = theta[:, 0].exp().expand(len(y)) / STD
        return ud.Objective(data, ud.SmoothedTotalVariation("vectorial", 1e-4), weight)

    loss, start = bilevel(x, y, problem), torch.zeros(1, 1)
    quick = ud.solve(ud.LBFGS(), loss, start, stop=ud.until(iterations=steps, residual=1e-6))
    print(f"L-BFGS: weight {float(quick.x.exp()):.3f}/std after {quick.iterations[0]} steps")
    maid = ud.MAID(step_size=0.3, steps=ud.BarzilaiBorwein(), memory=0.85)
    stop = ud.until(iterations=steps, residual=1e-3)
    sure = ud.solve(maid, loss, start, stop=stop, observe=[ud.error_bound])
    print(
        f"MAID:   weight {float(sure.x.exp()):.3f}/std, ‖gradient‖ certainly below "
        f"{float(sure.state.residual):.1e}, {int(sure.state.lower_iterations)} lower iterations"
    )
    return float(quick.x.exp()) / STD


def learn_filters(x: torch.Tensor, y: torch.Tensor, steps: int) -> ud.FieldsOfExperts:
    """Eight filters of 3×3 and their weights, from cosines: a small field of experts."""
    data, shape = ud.LeastSquares(ud.Identity(), y, STD), (8, 3, 3)

    def experts(theta: torch.Tensor) -> ud.FieldsOfExperts:
        filters, weights = theta[0, :72].reshape(shape), theta[0, 72:]
        return ud.FieldsOfExperts(filters, weights, theta.new_tensor(2 * math.log(0.02)))

    def problem(theta: torch.Tensor) -> ud.Objective:
        return ud.Objective(data, experts(theta), 1.0)

    start = torch.cat([ud.dct_filters(3).flatten(), torch.full((8,), 0.5)])[None]
    solver = ud.WarmStarted(ud.LBFGS(memory=8))
    stop = ud.until(iterations=steps, residual=1e-6)
    result = ud.solve(solver, bilevel(x, y, problem), start, stop=stop)
    return experts(result.x)


def restored(y: torch.Tensor, prior: ud.Functional, weight: float) -> torch.Tensor:
    """With a prior that was learned."""
    problem = ud.Objective(ud.LeastSquares(ud.Identity(), y, STD), prior, weight)
    return ud.solve(ud.LBFGS(), problem, y, stop=ud.until(iterations=200, residual=1e-7)).x


def main() -> None:
    """Everything in order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--output", type=Path, default=Path("tutorial"))
    options = parser.parse_args()
    x, y = pairs(options.size)
    weight = learn_weight(x[:2], y[:2], options.steps)
    filters = learn_filters(x[:2], y[:2], options.steps)
    found = {
        "noisy": y[2:],
        "variation": restored(y[2:], ud.SmoothedTotalVariation("vectorial", 1e-4), weight),
        "experts": restored(y[2:], filters, 1.0),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    for name, picture in found.items():
        print(f"{name:10} {float(ud.psnr(picture, x[2:])):.2f} dB")
        ud.write_image(options.output / f"{name}.png", picture.clamp(0, 1))


if __name__ == "__main__":
    main()
