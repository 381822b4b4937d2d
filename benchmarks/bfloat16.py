"""Convolutions in bfloat16 beside float32: where `precision="auto"` should take it, and where not.

    python -m benchmarks.bfloat16

Three 3×3 convolutions, channels-last, one thread, by autocast; processor time, both precisions in
turns, the least of seven. The kind of processor makes the difference; docs/learned.md compares two.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.table import write
from undegrade.learned.autocast_cell import made_for_bfloat16

REPETITIONS = 7
SIZES = ((1, 32, 192), (1, 64, 192), (1, 96, 96), (8, 64, 72))  # batch, channels, side
PRECISIONS = (torch.float32, torch.bfloat16)


def passes(net: nn.Module, x: Tensor, dtype: torch.dtype, *, backward: bool) -> Callable[[], None]:
    """One pass forward, or forward and backward."""

    def run() -> None:
        lower = dtype != torch.float32
        with torch.set_grad_enabled(backward):
            with torch.autocast("cpu", dtype if lower else None, enabled=lower):
                y = net(x)
            if backward:
                y.float().square().mean().backward()

    return run


def least(runs: list[Callable[[], None]]) -> list[float]:
    """Processor seconds of each, in turns, after one that is not counted."""
    times: list[list[float]] = [[] for _ in runs]
    for run in runs:
        run()
    for _ in range(REPETITIONS):
        for run, seconds in zip(runs, times, strict=True):
            began = time.process_time()
            run()
            seconds.append(time.process_time() - began)
    return [min(seconds) for seconds in times]


def main() -> None:
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    for batch, channels, side in SIZES:
        x = torch.randn(batch, channels, side, side).to(memory_format=torch.channels_last)
        layers = [nn.Conv2d(channels, channels, 3, padding=1) for _ in range(3)]
        net = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # pyright: ignore
        row: dict[str, object] = {"batch": batch, "channels": channels, "side": side}
        for name, backward in (("forward", False), ("both ways", True)):
            single, lower = least([passes(net, x, p, backward=backward) for p in PRECISIONS])
            row[f"{name}, float32, ms"] = round(1e3 * single, 1)
            row[f"{name}, bfloat16 over float32"] = round(lower / single, 2)
        rows.append(row | {"auto": "bfloat16" if made_for_bfloat16(x.device) else "float32"})
    write("bfloat16", "python -m benchmarks.bfloat16", rows)


if __name__ == "__main__":
    main()
