"""Peak memory of the variational methods, in pictures.

    python -m benchmarks.memory

Each method runs in a process of its own on 3 × 1024 × 1024 float32; what the peak grows by over the
moment before the restoration, divided by the size of the picture. Truth, measurement and result
are the caller's: the result is counted, the others are not.
"""

import resource
import subprocess
import sys

import torch

import undegrade as ud
from benchmarks import table

SIDE = 1024
PICTURE = 3 * SIDE * SIDE * 4


def measurement(task: str) -> ud.Measurement:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 3, SIDE, SIDE, generator=generator)
    eta = ud.Gaussian(0.1)
    operators = {
        "denoising": ud.Identity(),
        "blur 5×5": ud.Blur(ud.gaussian_psf(1.0, 5), "replicate"),
        "super-resolution ×2": ud.Downsample(2) @ ud.Blur(ud.gaussian_psf(1.0, 5), "replicate"),
        "missing pixels": ud.Mask((torch.rand(SIDE, SIDE, generator=generator) > 0.5).float()),
    }
    A = operators[task]
    return ud.Measurement(eta.sample(A(x), generator), A, eta)


def grown(task: str, automatic: bool) -> float:
    """Pictures that the peak grows by, in this process."""
    m = measurement(task)
    weight = None if automatic else 8.0
    # load and compile everything on a picture that is too small to matter
    ud.Variational(weight=weight, iterations=10).restore(
        ud.Measurement(torch.rand(1, 3, 256, 256), ud.Identity(), ud.Gaussian(0.1))
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ud.Variational(weight=weight, iterations=15).restore(m)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (after - before) * 1024 / PICTURE


def main() -> None:
    if len(sys.argv) == 3:
        print(grown(sys.argv[1], sys.argv[2] == "automatic"))
        return
    rows = []
    for task in ("denoising", "blur 5×5", "super-resolution ×2", "missing pixels"):
        row: dict[str, object] = {"task": task}
        for weight in ("given", "automatic"):
            command = [sys.executable, "-m", "benchmarks.memory", task, weight]
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            row[f"pictures, weight {weight}"] = round(float(out), 1)
        rows.append(row)
    table.write("memory", "python -m benchmarks.memory", rows)


if __name__ == "__main__":
    main()
