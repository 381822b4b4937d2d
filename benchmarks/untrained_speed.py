"""One iteration of a skip network at 512×512, forward and backward: the fast form beside the plain.

    python -m benchmarks.untrained_speed [--widths 32 64 128] [--repeats 3]

Plain is float32, channels first, reflected borders, 32 channels of code, as published; fast is
bfloat16 by autocast, channels last, zeros at the border, 16 channels of code. Processor time of one
thread, the least of several, because a machine that does other things counts them in.
"""

import argparse
import time

import torch

import undegrade as ud
from benchmarks import table
from undegrade.networks.skip import Padding


def seconds(network: torch.nn.Module, inputs: int, dtype: torch.dtype, repeats: int) -> float:
    code = torch.rand(1, inputs, 512, 512)
    if dtype != torch.float32:
        network = network.to(memory_format=torch.channels_last)  # pyright: ignore
        code = code.contiguous(memory_format=torch.channels_last)
    found = list[float]()
    for _ in range(repeats):
        began = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype != torch.float32):
            x = network(code)
        torch.autograd.grad(x, list(network.parameters()), (x - 0.5).detach())
        found.append(time.process_time() - began)
    return min(found)


def network(inputs: int, widths: tuple[int, ...], padding: Padding) -> torch.nn.Module:
    return ud.SkipNetwork(inputs, 3, widths, (4,) * len(widths), padding)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--widths", nargs="+", type=int, default=[32, 64, 128])
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    forms = {str(w): (w,) * 5 for w in asked.widths} | {"16 32 64 128 128": (16, 32, 64, 128, 128)}
    rows = list[table.Row]()
    for name, widths in forms.items():
        plain = seconds(network(32, widths, "reflect"), 32, torch.float32, asked.repeats)
        fast = seconds(network(16, widths, "zeros"), 16, torch.bfloat16, asked.repeats)
        rows.append(
            {
                "widths": name,
                "plain, s": f"{plain:.2f}",
                "fast, s": f"{fast:.2f}",
                "share": f"{fast / plain:.2f}",
            }
        )
    table.write("untrained_speed", "python -m benchmarks.untrained_speed", rows)


if __name__ == "__main__":
    main()
