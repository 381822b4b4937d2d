"""Trainings and restorations by the processor time that they take, on however busy a computer."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median

from undegrade.files.tables import read_rows, write_rows
from undegrade.training.denormals import flushing_thread
from undegrade.training.run import Run
from undegrade.training.settings import TrainingSettings
from undegrade.training.train import launch, train

ROUNDS = 12  # of single updates, and of restorations, from which times are told


def milliseconds(jobs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least processor time of each job, all of them in turns."""
    least = dict.fromkeys(jobs, float("inf"))
    for _ in range(rounds):
        for name, job in jobs.items():
            began = time.process_time()
            job()
            least[name] = min(least[name], 1000 * (time.process_time() - began))
    return least


def paces(pilots: Mapping[str, TrainingSettings], folder: Path) -> dict[str, float]:
    """Processor seconds of an update, the median of updates that all trainings make in turns."""
    runs = {n: Run(replace(s, output=folder / "pilot"), launch(s)) for n, s in pilots.items()}
    seen: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            began = time.process_time()
            run.update()
            seen[name].append(time.process_time() - began)
    return {name: median(values[2:]) for name, values in seen.items()}


def plan(
    folder: Path, seconds: float, pilots: Callable[[], Mapping[str, TrainingSettings]]
) -> list[dict[str, str]]:
    """Steps and iterations of every machine, found once and kept beside the weights."""
    path = folder / "plan.csv"
    if not path.exists():
        settings = pilots()
        with flushing_thread() as thread:
            found = thread.submit(paces, settings, folder).result()
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [
            {
                "machine": name,
                "steps": chosen.architecture.steps if chosen.architecture else "",
                "iterations": round(seconds / found[name]),
                "training, s": round(seconds),
            }
            for name, chosen in settings.items()
        ]
        write_rows(path, rows)
    return read_rows(path)


def teach(chosen: TrainingSettings) -> None:
    """Train, and tell what processor time it took."""
    began = time.process_time()
    train(chosen)
    spent = round(time.process_time() - began)
    print(chosen.output.name, chosen.iterations, "iterations", spent, "s", flush=True)
