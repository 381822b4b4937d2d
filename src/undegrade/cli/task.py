"""One picture, restored by one method after the other."""

import contextlib
import copy
import dataclasses
import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from undegrade.cli.failure import in_words
from undegrade.cli.inputs import Source
from undegrade.cli.progress import Bar
from undegrade.cli.reading import Reading
from undegrade.cli.results import Done, result_name
from undegrade.cli.source import DegradationSource, find_known
from undegrade.core.image import Image, PerSample
from undegrade.core.likelihood import Likelihood
from undegrade.core.measurement import Measurement, Restorer
from undegrade.core.solver import Observer
from undegrade.core.stopping import State, Status
from undegrade.degradations.degradation import Degradation
from undegrade.degradations.flags import DegradationFlags
from undegrade.degradations.kernel_doubt import kernel_doubt
from undegrade.degradations.light_doubt import light_doubt
from undegrade.degradations.noise_doubt import noise_doubt, refuse_hidden_noise
from undegrade.evaluation.restoration import Restoration, evaluate
from undegrade.evaluation.section import kernel_kept_in_words, level_found, misfit_in_words
from undegrade.files.levels import outside
from undegrade.files.picture import Picture, write_picture
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.impulses import stray
from undegrade.restorers.choice import Choosing
from undegrade.restorers.continued import Continued
from undegrade.restorers.recurrent_inference import RecurrentInference

_SOME_STRAY = 5e-4  # of a picture: sparks and stars are fewer


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
        folder: of the results.
        snapshots: iterations between two pictures that are kept on the way; 0 keeps none.
        noise_strength: factor of the level that is said or found.
        resume: whether what an interrupted run left is gone on from, or removed.
        reading: how pictures are read.

    Raises:
        ValueError: fewer than 0 iterations; a factor that is not positive.
    """

    methods: Mapping[str, Restorer]
    call: str
    reference: Path | None = None
    described: DegradationSource | None = None
    flags: DegradationFlags = field(default_factory=DegradationFlags)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    folder: Path = Path("restored")
    snapshots: int = 0
    noise_strength: float = 1.0
    resume: bool = False
    reading: Reading = field(default_factory=Reading)

    def __post_init__(self) -> None:
        if self.snapshots < 0:
            raise ValueError(
                f"expected 0 or more iterations between snapshots, got {self.snapshots}"
            )
        if not 0 < self.noise_strength < math.inf:
            raise ValueError(
                f"--noise-strength is a positive factor such as 1.5, got {self.noise_strength}"
            )


def restored(task: Task, source: Source, bar: Bar) -> Iterator[Done]:
    """Read one picture, and restore it by each method.

    Raises:
        ValueError: it cannot be read or restored.
    """
    try:
        picture, known, reference, truth = _read(task, source)
    except OSError as error:
        raise ValueError(in_words(error)) from error
    degradation = known.degradation.completed(picture.pixels)
    form, notes = picture.form, [known.note, *degradation.notes]
    notes.append(outside(picture.pixels, form.levels, np.dtype(form.dtype)))
    noise = degradation.likelihood
    if noise is not None:
        notes += _of_noise(picture, known.degradation, noise)
        stronger = noise.noise.stronger(task.noise_strength)
        degradation = dataclasses.replace(degradation, likelihood=stronger)
    measurement = degradation.measurement(picture.pixels)
    std = float(measurement.likelihood.noise.precision(measurement.y).mean().rsqrt())
    notes.append(_of_blur(degradation, picture.pixels, std))
    there = _moved(measurement, task.device)
    truth = None if truth is None else truth.to(task.device)
    snapshots = _snapshots(task, source, picture)
    for label, method in task.methods.items():
        name, restorer, reason = _chosen(label, method, there)
        path = task.folder / source.place / f"{result_name(source.path, name)}.checkpoint"
        lasting, iterations = _lasting(restorer, path, resume=task.resume)
        observe = (bar.observer(iterations, truth), *snapshots)
        with _left_where_interrupted(path):
            restoration = evaluate(name, lasting, there, truth, observe, task.call)
        if restoration.status is Status.DIVERGED:
            raise ValueError(f"{source.path} is not restored; {restoration.status.value}")
        notes_after = misfit_in_words(restoration.misfit), kernel_kept_in_words(restoration.chosen)
        yield Done(
            source=source,
            picture=picture,
            known=known,
            likelihood=degradation.likelihood,
            reference=reference,
            settings=vars(restorer),
            restoration=restoration,
            reason=reason,
            notes=tuple(n for n in (*notes, *notes_after) if n),
            along=_along(task, source, restoration.iterations),
        )


def _of_noise(picture: Picture, said: Degradation, noise: Likelihood) -> list[str]:
    """What to say of the noise that was found, or told; one that cannot be is refused.

    Raises:
        ValueError: the picture cannot have the noise that was told.
    """
    y = picture.pixels
    if said.likelihood is None:
        stray_ones = _stray(y) if isinstance(noise, Gaussian) else ""
        return [level_found(noise), stray_ones, _compressed(picture, said)]
    refuse_hidden_noise(y, noise)
    return [noise_doubt(said, y)]


def _compressed(picture: Picture, said: Degradation) -> str:
    """What to say of a JPEG file of which nothing is known."""
    if picture.form.format != "JPEG" or said != Degradation(shape=said.shape):
        return ""
    return "a JPEG file: where its blocks are what is wrong, --jpeg own takes these out"


def _of_blur(said: Degradation, y: Image, std: float) -> str:
    """What to say of a blur that another one fits better than: first of its kernel."""
    return kernel_doubt(said, y, std) or light_doubt(
        said, y, std, lambda m: RecurrentInference().restore(m).x
    )


def _stray(y: Image) -> str:
    """What to say of dust, hot pixels and impulses in a picture of which nothing is known."""
    share = stray(y)
    if share < _SOME_STRAY:
        return ""
    return (
        f"{100 * share:.2g} % of the values stick out of all around them; where these are dust, "
        f"dead pixels or impulses: --noise salt-and-pepper:{2 * share:.2g}"
    )


def _moved(measurement: Measurement, device: torch.device) -> Measurement:
    """A copy of a measurement on a device."""
    return Measurement(
        measurement.y.to(device),
        copy.deepcopy(measurement.operator).to(device),
        copy.deepcopy(measurement.likelihood).to(device),
    )


@contextlib.contextmanager
def _left_where_interrupted(path: Path) -> Generator[None]:
    """A checkpoint is of use to a run that was interrupted, which says so, and to no other."""
    try:
        yield
    except KeyboardInterrupt:
        kept = f"--resume goes on from {path}" if path.exists() else ""
        raise KeyboardInterrupt(kept) from None
    if path.exists():
        path.unlink()


def _lasting(restorer: Restorer, path: Path, *, resume: bool) -> tuple[Restorer, int | None]:
    """A method that takes long with a file of its own, and its iterations; others as they are."""
    if not isinstance(restorer, Continued):
        return restorer, None
    if restorer.checkpoint is not None:
        return restorer, restorer.most_iterations
    if not resume and path.exists():  # where a file is in the way, the result says it better
        path.unlink()
    return replace(cast(Any, restorer), checkpoint=path), restorer.most_iterations


def _chosen(name: str, method: Restorer, measurement: Measurement) -> tuple[str, Restorer, str]:
    """A method by the name of what it chooses, and why it does."""
    choice = method.choose(measurement) if isinstance(method, Choosing) else None
    return (name, method, "") if choice is None else (choice.name, choice.restorer, choice.reason)


def _snapshots(task: Task, source: Source, picture: Picture) -> Sequence[Observer]:
    """An observer that keeps every so many pictures beside the restored one, if they are wanted."""

    def keep(iteration: int, state: State) -> Mapping[str, PerSample]:
        if iteration % task.snapshots == 0:
            folder, path = task.folder / source.place, source.path
            folder.mkdir(parents=True, exist_ok=True)
            write_picture(folder / _name(path, iteration), picture.with_pixels(state.x))
        return {}

    return (keep,) if task.snapshots else ()


def _name(path: Path, iteration: int) -> str:
    """The file of a picture that is kept on the way."""
    return f"{path.stem}-{iteration:06d}{path.suffix}"


def _along(task: Task, source: Source, iterations: int) -> tuple[tuple[int, str], ...]:
    """The iterations after which a picture was kept, and their files."""
    every = range(task.snapshots, iterations + 1, task.snapshots) if task.snapshots else ()
    return tuple((k, _name(source.path, k)) for k in every)


def told(target: Path, done: Done) -> str:
    """A line about what was written, and before it why this method was taken."""
    r: Restoration = done.restoration
    why = f"{done.source.path}: {r.method}; {done.reason}\n" if done.reason else ""
    notes = "".join(f"  {note}\n" for note in done.notes)
    scored = "" if r.score.psnr is None else f"  {r.score.psnr:.2f} dB"
    return f"{why}{target}{scored}  {r.seconds:.1f} s  {r.status.value}\n{notes}"


def _read(
    task: Task, source: Source
) -> tuple[Picture, DegradationSource, Path | None, Image | None]:
    picture = task.reading.picture(source.path)
    picture.form.suited_to(source.path)
    known = find_known(source.path, picture.pixels, task.described, task.flags)
    reference = task.reference
    if reference is not None and reference.is_dir():
        reference = reference / source.place / source.path.name
    return picture, known, reference, _truth(task, reference, picture, known)


def _truth(
    task: Task, path: Path | None, picture: Picture, known: DegradationSource
) -> Image | None:
    if path is None:
        return None
    truth = task.reading.beside(path, picture.form.dtype)
    channels, height, width = known.degradation.shape
    if truth.shape[1:] != (channels, height, width):
        raise ValueError(
            f"the reference {path} has {truth.shape[2]}×{truth.shape[3]} pixels and "
            f"{truth.shape[1]} channel(s), the restored picture {height}×{width} and {channels}"
        )
    return truth
