"""How the threads of a command wait for each other."""

import os

# A waiting thread looks this often whether there is work, then sleeps. OpenMP's own choice, 300 000
# looks, burns whole time slices where other programs want the cores: `benchmarks/busy.py`.
_LOOKS = 1000


def sleep_when_idle() -> None:
    """Threads without work give their core away soon, unless the caller's environment says more.

    It has an effect only before torch is loaded: OpenMP reads its environment once.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # understood by every OpenMP
    os.environ.setdefault("GOMP_SPINCOUNT", str(_LOOKS))  # GNU's, which prefers this one
