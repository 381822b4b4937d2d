"""Threads: how many there are is the caller's choice, and those without work sleep."""

import os
import subprocess
import sys

import pytest

_COUNT = """
import torch
from undegrade.priors import total_variation_compiled as compiled
torch.set_num_threads({before})
compiled.slopes(torch.rand(1, 1, 8, 8), "vectorial")
import numba
print(torch.get_num_threads(), numba.get_num_threads())
torch.set_num_threads({after})
compiled.slopes(torch.rand(1, 1, 8, 8), "vectorial")
print(torch.get_num_threads(), numba.get_num_threads())
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "NUMBA_"))}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=ours | environment,
        capture_output=True,
        text=True,
        check=True,
    )


def test_compiled_loops_take_as_many_threads_as_torch_and_leave_its_number_alone():
    code = _COUNT.format(before=1, after=2)
    assert run(code, NUMBA_NUM_THREADS="2").stdout.split() == ["1", "1", "2", "2"]
    code = _COUNT.format(before=3, after=1)
    assert run(code, NUMBA_NUM_THREADS="2").stdout.split() == ["3", "2", "1", "1"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have another OpenMP")
def test_idle_threads_of_a_command_sleep_unless_the_caller_wants_otherwise():
    """OpenMP itself says what it goes by when torch loads it."""
    code = "import undegrade.cli, torch"
    told = run(code, OMP_DISPLAY_ENV="VERBOSE").stderr
    assert "GOMP_SPINCOUNT = '1000'" in told
    told = run(code, OMP_DISPLAY_ENV="VERBOSE", GOMP_SPINCOUNT="77").stderr
    assert "GOMP_SPINCOUNT = '77'" in told
