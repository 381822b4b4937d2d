"""`undegrade demo`: a photograph degraded in five ways and restored."""

import importlib
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import torch
from tyro import conf

from undegrade.cli.inputs import Source
from undegrade.cli.parsing import parse
from undegrade.cli.progress import Bar
from undegrade.cli.results import Results
from undegrade.cli.task import Task, restored, told
from undegrade.core.image import Image
from undegrade.degradations.description import write_description
from undegrade.degradations.flags import DegradationFlags
from undegrade.evaluation.report import write_report
from undegrade.files.picture import write_image
from undegrade.restorers import RESTORERS

_NOTE = (
    "A photograph from scikit-image, degraded in five known ways, stored with 8 bits, and restored "
    "by every method that suits, with nothing tuned: each one chooses its own settings."
)


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """The name of a degraded picture, its degradation in flags, and the methods that suit it."""

    name: str
    known: DegradationFlags
    methods: tuple[str, ...]


DEMONSTRATIONS = (
    Demonstration(
        name="blur",
        known=DegradationFlags(blur="motion:15:30", noise="gaussian:0.02"),
        methods=("wiener", "quadratic", "variational", "learned"),
    ),
    Demonstration(
        name="noise",
        known=DegradationFlags(noise="gaussian:0.1"),
        methods=("wiener", "variational", "learned"),
    ),
    Demonstration(
        name="low-resolution",
        known=DegradationFlags(blur="gaussian:1", downsample=2, noise="gaussian:0.01"),
        methods=("quadratic", "variational", "learned"),
    ),
    Demonstration(
        name="missing",
        known=DegradationFlags(mask=0.5, noise="gaussian:0.02"),
        methods=("quadratic", "variational", "learned"),
    ),
    Demonstration(
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


@final
@dataclass(frozen=True, kw_only=True)
class Demo:
    """Degrade a photograph in five ways, restore it, and write a report.

    Arguments:
        output: folder for the pictures and report.html.
    """

    output: Annotated[Path, conf.arg(metavar="DIR", aliases=["-o"])] = Path("demo")


def run(args: Sequence[str]) -> int:
    """Parse the arguments and demonstrate."""
    command = parse(Demo, "demo", args)
    demonstrate(photograph(), command.output)
    return 0


def demonstrate(
    x: Image, folder: Path, demonstrations: Sequence[Demonstration] = DEMONSTRATIONS
) -> Path:
    """Degrade and restore `x` in every way; write the pictures and a report, and return its path.

    Raises:
        OSError: something cannot be written.
        ValueError: the folder has the settings of something else.
    """
    began = time.perf_counter()
    results = Results(folder, {"command": shlex.join(["undegrade", "demo", "-o", str(folder)])})
    folder.mkdir(parents=True, exist_ok=True)
    write_image(folder / "truth.png", x)
    with Bar(len(demonstrations)) as bar:
        for shown in demonstrations:
            bar.begin(shown.name)
            for done in restored(*_degraded(shown, x, folder), bar):
                sys.stdout.write(told(results.add(done), done))
    report = folder / "report.html"
    title = f"One photograph, degraded in {len(demonstrations)} ways"
    write_report(report, title, results.sections(), _NOTE)
    sys.stdout.write(f"{report}  {time.perf_counter() - began:.0f} s in all\n")
    return report


def _degraded(shown: Demonstration, x: Image, folder: Path) -> tuple[Task, Source]:
    """Degrade, by the same calls in the same order as `undegrade degrade --seed 0`."""
    file, truth = folder / f"{shown.name}.png", folder / "truth.png"
    generator = torch.Generator().manual_seed(0)
    degradation = shown.known.draw(x.shape, generator)
    write_image(file, degradation.degrade(x, generator))
    write_description(f"{file}.json", degradation)
    made = ["undegrade", "degrade", str(truth), str(file), *shown.known.words]
    call = ["undegrade", "restore", str(file), "--reference", str(truth), "-o", str(folder)]
    task = Task(
        methods={name: RESTORERS[name]() for name in shown.methods},
        call=f"{shlex.join(made)}\n{shlex.join([*call, '--method', *shown.methods])}",
        reference=truth,
    )
    return task, Source(file, Path())
