"""What other programs on the same cores do to a restoration: wall and processor time.

    python -m benchmarks.busy

Total variation behind a Gaussian blur, 300×451 color, 40 iterations, each run in a process of its
own, with none or two processes beside it that do nothing but count. `OpenMP's own waiting` is what
a Python program gets that sets nothing; `as the command line` is `undegrade.cli.threads`, and
`asleep at once` no looking for work at all. The rows are the quickest of three alternating runs;
only those beside each other compare, for whatever else the computer did is in them too.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import table

WAITING = {
    "OpenMP's own waiting": {},
    "as the command line": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"},
    "asleep at once": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"},
}
REPEAT = 3
RUN = """
import json, time, torch, undegrade as ud
x = torch.rand(1, 3, 300, 451, generator=torch.Generator().manual_seed(0))
A, eta = ud.Blur(ud.gaussian_psf(2.0), "replicate"), ud.Gaussian(0.02)
m = ud.Measurement(A(x), A, eta)
ud.Variational(weight=50.0, iterations=2).restore(m)  # loads the compiled loops
wall, cpu = time.perf_counter(), time.process_time()
ud.Variational(weight=50.0, tolerance=1e-12, iterations=40).restore(m)
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
"""


@contextmanager
def company(count: int) -> Iterator[None]:
    """So many processes beside us that keep a core busy each."""
    code = "while True: pass"
    busy = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def seconds(waiting: dict[str, str]) -> tuple[float, float]:
    """Wall and processor time of one restoration."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    run = subprocess.run(
        [sys.executable, "-c", RUN], env=ours | waiting, capture_output=True, text=True, check=True
    )
    wall, cpu = json.loads(run.stdout)
    return wall, cpu


def main() -> None:
    rows = list[dict[str, object]]()
    for count in (0, 2):
        load = os.getloadavg()[0]
        with company(count):
            runs = [{name: seconds(env) for name, env in WAITING.items()} for _ in range(REPEAT)]
        for name in WAITING:
            wall, cpu = min(run[name] for run in runs)
            rows.append(
                {
                    "busy processes": count,
                    "threads that wait": name,
                    "wall, s": round(wall, 2),
                    "processor, s": round(cpu, 2),
                    "load before": round(load, 1),
                }
            )
    table.write("busy", "python -m benchmarks.busy", rows)


if __name__ == "__main__":
    main()
