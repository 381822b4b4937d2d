"""`undegrade restore IN... --output DIR`: restored pictures, traces, settings and a report."""

import importlib.metadata
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Generic, TypeVar, final

from tyro import conf

from undegrade.cli.degrade import refuse_overwriting
from undegrade.cli.failure import FAILED, say
from undegrade.cli.methods import method_class
from undegrade.cli.parsing import named, parse
from undegrade.cli.progress import Bar
from undegrade.cli.source import DegradationSource, find_known, read_known
from undegrade.core.image import Image, PerSample
from undegrade.core.measurement import Restorer
from undegrade.core.solver import Observer
from undegrade.core.stopping import State, Status
from undegrade.degradations.flags import DegradationFlags
from undegrade.evaluation.report import (
    Case,
    make_attempt,
    make_before,
    make_detail,
    make_pane,
    write_report,
)
from undegrade.evaluation.restoration import Trial, run_trial
from undegrade.evaluation.wording import noise_in_words
from undegrade.files.atomic import appearing_in
from undegrade.files.picture import Picture, list_pictures, read_image, read_picture, write_picture
from undegrade.files.tables import write_settings, write_trace

M = TypeVar("M", bound=Restorer)
_DEFAULT_METHOD = "variational"


@final
@dataclass(frozen=True, kw_only=True)
class Restore(Generic[M]):
    """Restore pictures, and write what it took and a report.

    What is known of a picture's degradation comes from --degradation, else from the flags, else
    from the description beside it (y.png.json for y.png). Where nothing is said, the picture is
    taken as noisy, and the noise level is estimated.

    Arguments:
        inputs: picture files, or folders of them.
        output: folder for what is written.
        degradation: the description that `degrade` wrote, for all pictures.
        method: see `undegrade methods`; it decides the last group of options.
        reference: the truth, or a folder that has it under the same names; scores are against it.
        snapshots: iterations between two pictures that are kept on the way; 0 keeps none.
        known: what is known of the degradation.
        settings: of the method.
    """

    inputs: Annotated[tuple[Path, ...], conf.Positional, conf.arg(metavar="IN")]
    output: Annotated[Path, conf.arg(metavar="DIR")]
    degradation: Annotated[Path | None, conf.arg(metavar="FILE.json")] = None
    method: Annotated[str, conf.arg(metavar="NAME")] = _DEFAULT_METHOD
    reference: Annotated[Path | None, conf.arg(metavar="IMAGE")] = None
    snapshots: Annotated[int, conf.arg(metavar="N")] = 0
    known: Annotated[DegradationFlags, conf.OmitArgPrefixes] = field(
        default_factory=DegradationFlags
    )
    settings: Annotated[M, conf.OmitArgPrefixes]


@dataclass(frozen=True, kw_only=True)
class Attempted:
    """One picture with all that was found out about it.

    Arguments:
        source: its file.
        picture: its content.
        known: its degradation.
        noise: the likelihood, with the level that was given or estimated, in words.
        truth: the reference.
        trial: the restoration.
    """

    source: Path
    picture: Picture
    known: DegradationSource
    noise: str
    truth: Image | None
    trial: Trial


def run(args: Sequence[str]) -> int:
    """Parse the arguments and restore; 2 where a picture failed, though others may be done."""
    method = method_class(named(args, "--method", _DEFAULT_METHOD))
    return restore(parse(Restore[method], "restore", args), args)


def restore(command: Restore[M], args: Sequence[str]) -> int:
    """Restore every input in turn; returns the exit status.

    A picture that cannot be read or restored is told and left out. What cannot be written ends
    the run. After each picture, everything written so far is whole.

    Raises:
        OSError: something cannot be written.
        ValueError: the command makes no sense, whatever the pictures are.
    """
    if command.snapshots < 0:
        raise ValueError(
            f"expected 0 or more iterations between snapshots, got {command.snapshots}"
        )
    sources = _sources(command)
    described = None if command.degradation is None else read_known(command.degradation)
    call = shlex.join(["undegrade", "restore", *args])
    entries, cases = list[dict[str, object]](), list[Case]()
    with Bar(len(sources)) as bar:
        for source in sources:
            bar.begin(source.name)
            try:
                done = _attempt(command, source, described, bar)
            except (ValueError, OSError) as error:
                say(error)
            else:
                entries.append(_entry(done))
                _write(command.output, done, _settings(command, call, entries))
                cases.append(_case(done, command.method, call))
    if cases:
        title = cases[0].title if len(cases) == 1 else f"{len(cases)} pictures, {command.method}"
        write_report(command.output / "report.html", title, cases)
    return 0 if len(cases) == len(sources) else FAILED


def _sources(command: Restore[M]) -> list[Path]:
    """The pictures to restore; refuses those whose results would fall together."""
    if not command.inputs:
        raise ValueError("restore needs a picture, or a folder of pictures")
    groups = [list_pictures(given) if given.is_dir() else [given] for given in command.inputs]
    sources = [source for group in groups for source in group]
    targets = dict[str, Path]()
    for source in sources:
        refuse_overwriting(command.output / _name(source), sources)
        other = targets.setdefault(source.stem, source)
        if other is not source:
            raise ValueError(f"{other} and {source} would both become {source.stem}-restored")
    return sources


def _name(source: Path) -> str:
    return f"{source.stem}-restored{source.suffix}"


def _trace_name(source: Path) -> str:
    return f"{source.stem}-trace.csv"


def _attempt(
    command: Restore[M], source: Path, described: DegradationSource | None, bar: Bar
) -> Attempted:
    """Read and restore one picture."""
    picture = read_picture(source)
    picture.form.suited_to(source)
    known = find_known(source, picture.pixels, described, command.known)
    truth = _truth(command.reference, source, known)
    measurement = known.degradation.measurement(picture.pixels)
    observe = (bar.observe, *_snapshots(command, source, picture))
    trial = run_trial(command.settings, measurement, truth, observe)
    if trial.result.status[0] is Status.DIVERGED:
        raise ValueError(f"{source} is not restored; {trial.result.status[0].value}")
    noise = noise_in_words(measurement.likelihood)
    return Attempted(
        source=source, picture=picture, known=known, noise=noise, truth=truth, trial=trial
    )


def _snapshots(command: Restore[M], source: Path, picture: Picture) -> Sequence[Observer]:
    """An observer that keeps every so many pictures beside the restored one, if they are wanted."""

    def keep(iteration: int, state: State) -> Mapping[str, PerSample]:
        if iteration % command.snapshots == 0:
            name = f"{source.stem}-{iteration:06d}{source.suffix}"
            command.output.mkdir(parents=True, exist_ok=True)
            write_picture(command.output / name, picture.with_pixels(state.x))
        return {}

    return (keep,) if command.snapshots else ()


def _truth(reference: Path | None, source: Path, known: DegradationSource) -> Image | None:
    if reference is None:
        return None
    path = reference / source.name if reference.is_dir() else reference
    truth, (channels, height, width) = read_image(path), known.degradation.shape
    if truth.shape[1:] != (channels, height, width):
        raise ValueError(
            f"the reference {path} has {truth.shape[2]}×{truth.shape[3]} pixels and "
            f"{truth.shape[1]} channel(s), the restored picture {height}×{width} and {channels}"
        )
    return truth


def _write(folder: Path, done: Attempted, settings: dict[str, object]) -> None:
    """Write the picture, its trace and the settings so far, all or none of them, and say so."""
    result, score = done.trial.result, done.trial.score
    target = folder / _name(done.source)
    with appearing_in(folder) as temporary:
        write_picture(temporary / target.name, done.picture.with_pixels(result.x))
        write_trace(temporary / _trace_name(done.source), result.trace)
        write_settings(temporary / "settings.json", settings)
    scored = "" if score.psnr is None else f"  {score.psnr:.2f} dB"
    sys.stdout.write(f"{target}{scored}  {done.trial.seconds:.1f} s  {result.status[0].value}\n")


def _entry(done: Attempted) -> dict[str, object]:
    """What the settings say of one picture."""
    result, score = done.trial.result, done.trial.score
    return {
        "input": str(done.source),
        "output": _name(done.source),
        "trace": _trace_name(done.source),
        "known": done.known.source,
        "noise": done.noise,
        "status": result.status[0].value,
        "iterations": result.iterations[0],
        "seconds": round(done.trial.seconds, 4),
        "psnr": score.psnr,
        "ssim": score.ssim,
    }


def _case(done: Attempted, method: str, call: str) -> Case:
    x, truth = done.trial.result.x, done.truth
    height, width = x.shape[2:]
    return Case(
        title=done.source.name,
        degradation=f"Known: {done.known.source}; {done.noise}",
        before=make_before(done.picture.pixels, (height, width), truth),
        truth=None if truth is None else make_pane("truth", truth),
        attempts=(make_attempt(method, done.trial, call),),
        width=width,
        height=height,
        detail=make_detail(x if truth is None else truth),
    )


def _settings(
    command: Restore[M], call: str, entries: Sequence[dict[str, object]]
) -> dict[str, object]:
    return {
        "undegrade": importlib.metadata.version("undegrade"),
        "command": call,
        "method": command.method,
        "settings": vars(command.settings),
        "pictures": entries,
    }
