"""One picture, restored by one method after the other."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from undegrade.cli.failure import in_words
from undegrade.cli.inputs import Source
from undegrade.cli.progress import Bar
from undegrade.cli.results import Done
from undegrade.cli.source import DegradationSource, find_known
from undegrade.core.image import Image
from undegrade.core.measurement import Measurement, Restorer
from undegrade.core.stopping import Status
from undegrade.degradations.flags import DegradationFlags
from undegrade.evaluation.restoration import Restoration, evaluate
from undegrade.files.picture import Picture, read_image, read_picture
from undegrade.restorers.automatic import Automatic


@dataclass(frozen=True, kw_only=True)
class Task:
    """What holds for every picture of a run.

    Arguments:
        methods: by the names that results get.
        call: the command that repeats the run.
        reference: the truth, or a folder that has it.
        described: the degradation of all pictures.
        flags: what else is known of it.
        device: that computes.
    """

    methods: Mapping[str, Restorer]
    call: str
    reference: Path | None = None
    described: DegradationSource | None = None
    flags: DegradationFlags = field(default_factory=DegradationFlags)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


def restored(task: Task, source: Source, bar: Bar) -> Iterator[Done]:
    """Read one picture, and restore it by each method.

    Raises:
        ValueError: it cannot be read or restored.
    """
    try:
        picture, known, reference, truth = _read(task, source)
    except OSError as error:
        raise ValueError(in_words(error)) from error
    measurement = known.degradation.measurement(picture.pixels)
    there = Measurement(
        measurement.y.to(task.device),
        copy.deepcopy(measurement.operator).to(task.device),
        copy.deepcopy(measurement.likelihood).to(task.device),
    )
    truth = None if truth is None else truth.to(task.device)
    for label, method in task.methods.items():
        name, restorer, reason = _chosen(label, method, there)
        restoration = evaluate(name, restorer, there, truth, (bar.observe,), task.call)
        if restoration.status is Status.DIVERGED:
            raise ValueError(f"{source.path} is not restored; {restoration.status.value}")
        yield Done(
            source=source,
            picture=picture,
            known=known,
            likelihood=measurement.likelihood,
            reference=reference,
            settings=vars(restorer),
            restoration=restoration,
            reason=reason,
        )


def _chosen(name: str, method: Restorer, measurement: Measurement) -> tuple[str, Restorer, str]:
    """A method by the name of what it chooses, and why it does."""
    if not isinstance(method, Automatic):
        return name, method, ""
    choice = method.choose(measurement)
    return choice.name, choice.restorer, choice.reason


def told(target: Path, done: Done) -> str:
    """A line about what was written, and before it why this method was taken."""
    r: Restoration = done.restoration
    why = f"{done.source.path}: {r.method}; {done.reason}\n" if done.reason else ""
    scored = "" if r.score.psnr is None else f"  {r.score.psnr:.2f} dB"
    return f"{why}{target}{scored}  {r.seconds:.1f} s  {r.status.value}\n"


def _read(
    task: Task, source: Source
) -> tuple[Picture, DegradationSource, Path | None, Image | None]:
    picture = read_picture(source.path)
    picture.form.suited_to(source.path)
    known = find_known(source.path, picture.pixels, task.described, task.flags)
    reference = task.reference
    if reference is not None and reference.is_dir():
        reference = reference / source.place / source.path.name
    return picture, known, reference, None if reference is None else _truth(reference, known)


def _truth(path: Path, known: DegradationSource) -> Image:
    truth, (channels, height, width) = read_image(path), known.degradation.shape
    if truth.shape[1:] != (channels, height, width):
        raise ValueError(
            f"the reference {path} has {truth.shape[2]}×{truth.shape[3]} pixels and "
            f"{truth.shape[1]} channel(s), the restored picture {height}×{width} and {channels}"
        )
    return truth
