"""`undegrade restore IN...`: restored pictures, traces, settings and a report."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, final

import torch
from tyro import conf

from undegrade.cli.degrade import refuse_overwriting
from undegrade.cli.failure import FAILED, say
from undegrade.cli.inputs import Source, find_sources
from undegrade.cli.interruption import interruption
from undegrade.cli.methods import method_class, read_method, settings_of
from undegrade.cli.parsing import parse
from undegrade.cli.progress import Bar
from undegrade.cli.reading import Reading
from undegrade.cli.results import Results, result_name
from undegrade.cli.source import read_known
from undegrade.cli.task import Task, restored, told
from undegrade.degradations.flags import DegradationFlags
from undegrade.evaluation.report import write_report
from undegrade.restorers import restorers

M = TypeVar("M")
_DEFAULT_METHOD = "auto"


@final
@dataclass(frozen=True, kw_only=True)
class Restore(Generic[M]):
    """Restore pictures, and write what it took and a report.

    What is known of a picture's degradation comes from --degradation, else from the description
    beside it (y.png.json for y.png); flags amend it. Where nothing is said, the picture is
    taken as noisy, and the noise level is estimated. A blur is undone only where its kernel is
    said. Runs into the same folder add to it.

    Arguments:
        inputs: picture files, or folders of them, sub-folders included.
        output: folder for what is written: NAME-METHOD.EXT, traces, settings.json, report.html.
        degradation: the description that `degrade` wrote, for all pictures.
        enlarge: 2, 3 or 4: the picture was reduced by this much, by an editor's bicubic
            interpolation unless --blur says otherwise (area: means over blocks).
        method: one or several, see `undegrade methods`; one decides the last group of options,
            several are written with their settings, as in variational,weight=9.
        noise_strength: the noise is taken for so many times what it is said or found to be: more
            than 1 smooths more, less keeps more.
        reference: the truth, or a folder that has it under the same names; scores are against it.
        resume: go on where an interrupted run of a method that takes long was; it is written every
            two minutes and on Ctrl-C.
        snapshots: iterations between two pictures that are kept on the way; 0 keeps none.
        device: that computes: cpu, cuda (an NVIDIA GPU), cuda:1, mps (an Apple GPU).
        reading: how pictures are read.
        known: what is known of the degradation.
        settings: of the method.
    """

    inputs: Annotated[tuple[Path, ...], conf.Positional, conf.arg(metavar="IN")]
    output: Annotated[Path, conf.arg(metavar="DIR", aliases=["-o"])] = Path("restored")
    degradation: Annotated[Path | None, conf.arg(metavar="FILE.json")] = None
    enlarge: int | None = None
    method: Annotated[tuple[str, ...], conf.arg(metavar="NAME")] = (_DEFAULT_METHOD,)
    noise_strength: Annotated[float, conf.arg(metavar="FACTOR")] = 1.0
    reference: Annotated[Path | None, conf.arg(metavar="IMAGE|DIR")] = None
    resume: bool = False
    snapshots: Annotated[int, conf.arg(metavar="N")] = 0
    device: Annotated[str, conf.arg(metavar="NAME")] = "cpu"
    reading: Annotated[Reading, conf.OmitArgPrefixes] = field(default_factory=Reading)
    known: Annotated[DegradationFlags, conf.OmitArgPrefixes] = field(
        default_factory=DegradationFlags
    )
    settings: Annotated[M, conf.OmitArgPrefixes]


@dataclass(frozen=True)
class _NoSettings:
    """Several methods have their settings beside their names."""


def run(args: Sequence[str]) -> int:
    """Parse the arguments and restore; 2 where a picture failed, though others may be done."""
    names, rest = _split(args)
    alone = len(names) == 1 and "," not in names[0]
    settings = method_class(names[0]) if alone else _NoSettings
    _check_settings(rest, names, settings)
    command = parse(Restore[settings], "restore", rest)
    method: Any = command.settings
    methods = {n: method if alone else read_method(n, "restore") for n in names}
    described = None if command.degradation is None else read_known(command.degradation)
    task = Task(
        methods=methods,
        device=_device(command.device),
        described=described,
        flags=_with_reduction(command.known, command.enlarge),
        reference=command.reference,
        call=shlex.join(["undegrade", "restore", *args]),
        folder=command.output,
        snapshots=command.snapshots,
        noise_strength=command.noise_strength,
        resume=command.resume,
        reading=command.reading,
    )
    return restore(task, find_sources(command.inputs), command.output)


def restore(task: Task, sources: Sequence[Source], folder: Path) -> int:
    """Restore every input in turn by every method; returns the exit status.

    A picture that cannot be read, restored or stored is told and passed over. A folder that cannot
    be written ends the run. After each picture, everything written so far is whole.

    Raises:
        OSError: the folder cannot be written.
        ValueError: the command makes no sense, whatever the pictures are.
    """
    _refuse_collisions(task, sources, folder)
    results, failed = Results(folder, {"command": task.call}), False
    with Bar(len(sources)) as bar:
        for source in sources:
            bar.begin(source.path.name)
            try:
                _restore_one(task, source, bar, results)
            except (ValueError, RuntimeError, MemoryError) as error:
                if interruption.happened:  # of an import, and so not about this picture
                    raise
                say(error, source.path)
                failed = True
    sections = results.sections()
    if sections:
        title = sections[0].title if len(sections) == 1 else f"{len(sections)} pictures"
        write_report(folder / "report.html", title, sections)
    return FAILED if failed else 0


def _restore_one(task: Task, source: Source, bar: Bar, results: Results) -> None:
    """One input by every method; nothing of it is kept in memory afterwards."""
    for done in restored(task, source, bar):
        sys.stdout.write(told(results.add(done), done))


def _with_reduction(known: DegradationFlags, factor: int | None) -> DegradationFlags:
    """The flags of a picture that an editor reduced by a factor."""
    if factor is None:
        return known
    if known.downsample not in (None, factor):
        raise ValueError(f"--enlarge {factor} means --downsample {factor}, got {known.downsample}")
    usual = DegradationFlags().boundary
    mirrored = "symmetric" if known.boundary == usual else known.boundary  # as editors do
    blur = known.blur or "bicubic"
    return replace(known, downsample=factor, blur=blur, boundary=mirrored)


def _split(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """The methods, and the other words; a word after --method NAME is an input unless it names one.

    So that `--method wiener y.png` and `--method wiener learned y.png` both mean what they say.
    """
    names, rest, words = list[str](), list[str](), list(args)
    while words:
        word = words.pop(0)
        if word.startswith("--method="):
            names.append(word.partition("=")[2])
        elif word == "--method":
            names += [words.pop(0)] if words else []
            while words and _names_method(words[0]):
                names.append(words.pop(0))
        else:
            rest.append(word)
    return list(dict.fromkeys(names)) or [_DEFAULT_METHOD], rest


def _names_method(word: str) -> bool:
    """Whether a word is meant as a method: one of the table, or no file and not written as one."""
    if word.startswith("-"):
        return False
    known = word.partition(",")[0] in restorers()
    return known or not ("." in word or "/" in word or Path(word).exists())


def _check_settings(args: Sequence[str], names: Sequence[str], settings: type[Any]) -> None:
    """Tell whose setting a flag is where it is one of another method."""
    for word in args:
        flag = word.partition("=")[0]
        owners = [name for name, m in restorers().items() if flag in settings_of(m)]
        if owners and flag not in settings_of(settings):
            how = f"give --method {owners[0]}" if len(names) == 1 else f"write {owners[0]},..."
            raise ValueError(f"{flag} is a setting of {', '.join(owners)}: {how}")


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"the device {name!r} cannot be used: {reason}") from error
    return device


def _refuse_collisions(task: Task, sources: Sequence[Source], folder: Path) -> None:
    targets = dict[Path, Path]()
    paths = [source.path for source in sources]
    for source in sources:
        for method in task.methods:
            target = folder / source.place / result_name(source.path, method)
            refuse_overwriting(target, paths)
            other = targets.setdefault(target, source.path)
            if other != source.path:
                raise ValueError(f"{other} and {source.path} would both become {target}")
