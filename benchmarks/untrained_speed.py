"""One iteration of a skip network, forward and backward: fast forms beside the plain one.

    python -m benchmarks.untrained_speed [--widths 32 64 128] [--repeats 3] [--size 512]

Plain is float32, channels first, reflected borders, 32 channels of code, as published; fast is
channels last, zeros at the border, 16 channels of code, in float32 and in bfloat16 by autocast.
Processor time of one thread, the least of several that are taken in turns, because a machine that
does other things counts them in.
"""

import argparse
import time

import torch

import undegrade as ud
from benchmarks import table
from undegrade.networks.skip import Padding


def seconds(network: torch.nn.Module, code: torch.Tensor, dtype: torch.dtype) -> float:
    began = time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype != torch.float32):
        x = network(code)
    torch.autograd.grad(x, list(network.parameters()), (x - 0.5).detach())
    return time.process_time() - began


def network(inputs: int, widths: tuple[int, ...], padding: Padding) -> torch.nn.Module:
    return ud.SkipNetwork(inputs, 3, widths, (4,) * len(widths), padding)


def measured(name: str, widths: tuple[int, ...], size: int, repeats: int) -> table.Row:
    last = torch.channels_last
    plain, code = network(32, widths, "reflect"), torch.rand(1, 32, size, size)
    fast = network(16, widths, "zeros").to(memory_format=last)  # pyright: ignore
    less = code[:, :16].contiguous(memory_format=last)
    forms = {
        "plain": (plain, code, torch.float32),
        "fast, float32": (fast, less, torch.float32),
        "fast, bfloat16": (fast, less, torch.bfloat16),
    }
    turns = [{form: seconds(*given) for form, given in forms.items()} for _ in range(repeats)]
    least = {form: min(turn[form] for turn in turns) for form in forms}
    row: dict[str, object] = {"widths": name, "pixels": f"{size}×{size}"}
    row |= {f"{form}, s": f"{time:.2f}" for form, time in least.items()}
    for form in list(forms)[1:]:
        row[f"{form}, of plain"] = f"{least[form] / least['plain']:.2f}"
    print(row, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--widths", nargs="+", type=int, default=[32, 64, 128])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", type=int, default=512)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    forms = {str(w): (w,) * 5 for w in asked.widths} | {"16 32 64 128 128": (16, 32, 64, 128, 128)}
    rows = [measured(name, widths, asked.size, asked.repeats) for name, widths in forms.items()]
    command = f"python -m benchmarks.untrained_speed --repeats {asked.repeats} --size {asked.size}"
    table.write("untrained_speed", command, rows)


if __name__ == "__main__":
    main()
