"""Take out corruption of unknown place, values and fraction, with an untrained network.

    python docs/tutorials/remove_gross_corruption.py [--iterations 300] [--size 128] [--output DIR]

Nearly a third of the entries of a photograph takes random values. No value gives a corrupted entry
away, so there is no mask to inpaint: what tells corruption from the picture is that a network draws
the picture first. The same idea then separates a matrix of low rank from sparse errors.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import skimage
import torch

import undegrade as ud


def corrupted(x: torch.Tensor) -> torch.Tensor:
    """30 % of the entries, at random, become random."""
    draw = torch.Generator().manual_seed(0)
    where = torch.rand(x.shape, generator=draw) < 0.3
    return torch.where(where, torch.rand(x.shape, generator=draw), x)


def restore(x: torch.Tensor, iterations: int, output: Path) -> None:
    """What the learned method makes of the entries that do not contradict it, then corrected."""
    y = corrupted(x)
    print(f"corrupted          {float(ud.psnr(y, x)):.2f} dB", flush=True)

    def look(iteration: int, state: ud.State) -> Mapping[str, torch.Tensor]:
        if iteration in (1, iterations // 3, iterations):
            print(f"iteration {iteration:5d}    {float(ud.psnr(state.x, x)):.2f} dB")
        return {"psnr": ud.psnr(state.x, x)}

    method = ud.RobustUntrainedNetwork(widths=(16, 32, 64), delay=100.0, iterations=iterations)
    result = method.restore(ud.Measurement(y), observe=[look])
    told_nothing = ud.Variational().restore(ud.Measurement(y, ud.Identity(), ud.Laplace(0.1)))
    print(f"total variation    {float(ud.psnr(told_nothing.x, x)):.2f} dB")
    output.mkdir(parents=True, exist_ok=True)
    ud.write_image(output / "corrupted.png", y.clamp(0, 1))
    ud.write_image(output / "restored.png", result.x.clamp(0, 1))
    ud.write_image(output / "removed.png", (0.5 + 0.5 * result.parts["removed"]).clamp(0, 1))


def separate() -> None:
    """Robust principal components: a 40×40 matrix of rank 2, a tenth of its entries wrong.

    Neither rank nor number of errors is told; the discrepancy of the learning rates is √n.
    """
    draw = torch.Generator().manual_seed(1)
    factor = torch.randn(40, 2, generator=draw, dtype=torch.float64)
    low = (factor @ factor.T / 40)[None, None]
    wrong = torch.rand(low.shape, generator=draw) < 0.1
    y = low + wrong * torch.randn(low.shape, generator=draw, dtype=torch.float64)
    problem = ud.Fidelity(ud.Identity(), ud.Gaussian(1.0), y)
    solver = ud.LowRankPlusSparse(discrepancy=40**0.5)
    result = ud.solve(solver, problem, torch.zeros_like(y), stop=ud.until(iterations=4000))
    error = float((result.x - low).norm() / low.norm())
    print(f"low rank: relative error {error:.1e} after {result.iterations[0]} iterations")


def main() -> None:
    """Everything in order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--output", type=Path, default=Path("tutorial"))
    options = parser.parse_args()
    astronaut = ud.read_image(Path(skimage.__file__).parent / "data" / "astronaut.png")
    size = options.size
    restore(astronaut[..., :size, 160 : 160 + size], options.iterations, options.output)
    separate()


if __name__ == "__main__":
    main()
