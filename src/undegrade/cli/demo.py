"""A photograph degraded in five ways and restored: `python -m undegrade.cli.demo`."""

import importlib
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from undegrade.core.image import Image
from undegrade.degradations.degradation import Degradation
from undegrade.degradations.description import write_description
from undegrade.degradations.flags import DegradationFlags
from undegrade.evaluation.report import (
    Attempt,
    Case,
    make_attempt,
    make_before,
    make_detail,
    make_pane,
    write_report,
)
from undegrade.evaluation.restoration import run_trial
from undegrade.evaluation.wording import flags_of
from undegrade.files.picture import read_image, write_image
from undegrade.restorers import RESTORERS

_NOTE = (
    "A photograph from scikit-image, degraded in five known ways, stored with 8 bits, and restored "
    "by every method that suits, with nothing tuned: each one chooses its own settings."
)


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """A degradation in words and in flags, and the methods that suit it."""

    title: str
    name: str
    known: DegradationFlags
    methods: tuple[str, ...]


DEMONSTRATIONS = (
    Demonstration(
        title="Blur and noise",
        name="blur",
        known=DegradationFlags(blur="motion:15:30", noise="gaussian:0.02"),
        methods=("wiener", "quadratic", "variational", "learned"),
    ),
    Demonstration(
        title="Noise",
        name="noise",
        known=DegradationFlags(noise="gaussian:0.1"),
        methods=("wiener", "variational", "learned"),
    ),
    Demonstration(
        title="Low resolution",
        name="low-resolution",
        known=DegradationFlags(blur="gaussian:1", downsample=2, noise="gaussian:0.01"),
        methods=("quadratic", "variational", "learned"),
    ),
    Demonstration(
        title="Missing pixels",
        name="missing",
        known=DegradationFlags(mask=0.5, noise="gaussian:0.02"),
        methods=("quadratic", "variational", "learned"),
    ),
    Demonstration(
        title="Salt and pepper",
        name="salt-and-pepper",
        known=DegradationFlags(noise="salt-and-pepper:0.4"),
        methods=("quadratic", "variational", "learned"),
    ),
)


def photograph() -> Image:
    """A detail of scikit-image's astronaut, 320×320 in color: small, so that nobody waits."""
    data: Any = importlib.import_module("skimage.data")
    samples = torch.from_numpy(data.astronaut())
    detail = samples[:320, 64:384].permute(2, 0, 1)[None]
    return detail.to(torch.float32, memory_format=torch.contiguous_format) / 255


def demonstrate(
    x: Image, folder: Path, demonstrations: Sequence[Demonstration] = DEMONSTRATIONS
) -> Path:
    """Degrade and restore `x` in every way; write the pictures and a report, and return its path.

    Raises:
        OSError: something cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_image(folder / "truth.png", x)
    total = sum(len(d.methods) for d in demonstrations)
    began, cases = time.perf_counter(), list[Case]()
    for shown in demonstrations:
        done = sum(len(case.attempts) for case in cases)
        cases.append(_case(shown, x, folder, done, total))
    report = folder / "report.html"
    write_report(report, "Five degradations of one photograph", cases, _NOTE)
    sys.stdout.write(f"{report}  {time.perf_counter() - began:.0f} s in all\n")
    return report


def _case(shown: Demonstration, x: Image, folder: Path, done: int, total: int) -> Case:
    file = folder / f"{shown.name}.png"
    degradation = _degrade(shown, x, file)
    y, height, width = read_image(file), x.shape[2], x.shape[3]
    flags = flags_of(shown.known)
    made = shlex.join(["undegrade", "degrade", str(folder / "truth.png"), str(file), *flags])
    attempts = list[Attempt]()
    for method in shown.methods:
        sys.stdout.write(f"[{done + len(attempts) + 1:2}/{total}] {shown.title}: {method} … ")
        sys.stdout.flush()
        trial = run_trial(RESTORERS[method](), degradation.measurement(y), x)
        call = ["undegrade", "restore", str(file), "--output", str(folder), "--method", method]
        attempts.append(make_attempt(method, trial, f"{made}\n{shlex.join(call)}"))
        write_image(folder / f"{shown.name}-{method}.png", trial.result.x)
        sys.stdout.write(f"{trial.score.psnr or 0:.2f} dB, {trial.seconds:.1f} s\n")
    return Case(
        title=shown.title,
        degradation=" ".join(flags),
        before=make_before(y, (height, width), x),
        truth=make_pane("truth", x),
        attempts=tuple(attempts),
        width=width,
        height=height,
        detail=make_detail(x),
    )


def _degrade(shown: Demonstration, x: Image, file: Path) -> Degradation:
    """The same calls in the same order as `undegrade degrade --seed 0`."""
    generator = torch.Generator().manual_seed(0)
    degradation = shown.known.draw(x.shape, generator)
    write_image(file, degradation.degrade(x, generator))
    write_description(f"{file}.json", degradation)
    return degradation


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Degrade a photograph in five ways, restore it, and write a report.

    Arguments:
        output: folder for the pictures and report.html.
    """

    output: Path = Path("demo")


def main() -> None:
    """Run the demonstration as the command line says."""
    import tyro

    command = tyro.cli(Demo, prog="python -m undegrade.cli.demo")
    demonstrate(photograph(), command.output)


if __name__ == "__main__":
    main()
