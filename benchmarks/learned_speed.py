"""Time and size of the shipped networks beside networks of the size of LGD's and DnCNN's.

    python -m benchmarks.learned_speed [--threads 2]

One 321×481 color picture, σ = 25 (and one blurred, σ = 2, borders continued by replication), all
in one run and in turns, so that a busy machine slows all of them alike; the least of the
repetitions counts. DnCNN is 20 convolutions of 64 channels, LGD ten steps of `ResidualCell` with
five blocks (0.41 M parameters); neither is trained here.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

import undegrade as ud
from benchmarks import table
from undegrade.machines.architecture import ARCHITECTURES, Architecture
from undegrade.networks.residual_cell import ResidualSettings
from undegrade.restorers.recurrent_inference import RecurrentInference, restored_by


def plain(depth: int = 20, width: int = 64) -> nn.Module:
    """Convolutions in a row, as DnCNN is when its normalization has been folded in."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), nn.ReLU(True)]
    for _ in range(depth - 2):
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU(True)]
    return nn.Sequential(*layers, nn.Conv2d(width, 3, 3, padding=1))


def recurrent(architecture: Architecture, m: ud.Measurement) -> Callable[[], object]:
    """All steps of a machine."""
    rim = architecture.build().to(memory_format=torch.channels_last)
    return lambda: restored_by(rim, m)


def main() -> None:
    """Run, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    y = torch.rand(1, 3, 321, 481, generator=torch.Generator().manual_seed(0))
    m = ud.Measurement(y, ud.Identity(), ud.Gaussian(25 / 255))
    blur = ud.Blur(torch.full((25, 25), 1 / 625), "replicate")
    blurred = ud.Measurement(blur(y), blur, ud.Gaussian(2 / 255))
    dncnn = plain().to(memory_format=torch.channels_last)
    cell = ResidualSettings(blocks=5, state_width=0)
    lgd = replace(ARCHITECTURES["residual"], cell=cell)
    runs: dict[str, tuple[float, Callable[[], object]]] = {
        "ours, noise": (
            _millions(ARCHITECTURES["denoising"].build()),
            lambda: RecurrentInference().restore(m),
        ),
        "ours, 25×25 blur": (
            _millions(ARCHITECTURES["universal"].build()),
            lambda: RecurrentInference().restore(blurred),
        ),
        "DnCNN-20": (_millions(dncnn), lambda: dncnn(y)),
        "LGD, 10 steps": (_millions(lgd.build()), recurrent(lgd, m)),
    }
    best = dict.fromkeys(runs, float("inf"))
    with torch.inference_mode():
        for _ in range(options.repeat + 1):  # the first warms up
            for name, (_, run) in runs.items():
                began = time.perf_counter()
                run()
                best[name] = min(best[name], time.perf_counter() - began)
    rows = [
        {
            "network": name,
            "parameters, millions": round(size, 2),
            "seconds": round(best[name], 2),
            "of DnCNN": round(best[name] / best["DnCNN-20"], 2),
        }
        for name, (size, _) in runs.items()
    ]
    table.write(
        "learned_speed", f"python -m benchmarks.learned_speed --threads {options.threads}", rows
    )


def _millions(network: nn.Module) -> float:
    return sum(p.numel() for p in network.parameters()) / 1e6


if __name__ == "__main__":
    main()
