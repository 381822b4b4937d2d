"""Which command is meant."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from undegrade.cli.failure import FAILED, INTERRUPTED, say, unknown
from undegrade.cli.interruption import interruption


@dataclass(frozen=True)
class Command:
    """One line of what it does, and a function of its arguments that returns the exit status.

    The function imports what it needs, so that `undegrade --help` waits for nothing.
    """

    summary: str
    run: Callable[[Sequence[str]], int]


def _degrade(args: Sequence[str]) -> int:
    from undegrade.cli.degrade import run

    return run(args)


def _restore(args: Sequence[str]) -> int:
    from undegrade.cli.restore import run

    return run(args)


def _methods(args: Sequence[str]) -> int:
    from undegrade.cli.methods import run

    return run(args)


def _benchmark(args: Sequence[str]) -> int:
    from undegrade.cli.benchmark import run

    return run(args)


def _train(args: Sequence[str]) -> int:
    from undegrade.cli.train import run

    return run(args)


def _train_segmentation(args: Sequence[str]) -> int:
    from undegrade.cli.train_segmentation import run

    return run(args)


def _learn_prior(args: Sequence[str]) -> int:
    from undegrade.cli.learn_prior import run

    return run(args)


def _synthesize(args: Sequence[str]) -> int:
    from undegrade.cli.synthesize import run

    return run(args)


def _demo(args: Sequence[str]) -> int:
    from undegrade.cli.demo import run

    return run(args)


def _reproduce(args: Sequence[str]) -> int:
    from undegrade.cli.reproduce import run

    return run(args)


def _completion(args: Sequence[str]) -> int:
    from undegrade.cli.completion import run

    return run(args, {name: command.summary for name, command in COMMANDS.items()})


COMMANDS = {
    "degrade": Command(
        "blur, downsample, mask a picture, add noise, and describe it all", _degrade
    ),
    "restore": Command("restore pictures whose degradation is known, or that are noisy", _restore),
    "methods": Command("list the methods and their settings", _methods),
    "benchmark": Command("score methods on a folder of pictures, as one table", _benchmark),
    "train": Command("train a learned method on a folder of pictures", _train),
    "train-segmentation": Command(
        "train a segmentation network on pictures with label maps", _train_segmentation
    ),
    "learn-prior": Command("learn the prior of variational restoration on pictures", _learn_prior),
    "synthesize": Command("make a picture whose segmentation is a given label map", _synthesize),
    "demo": Command("degrade a photograph in five ways and restore it", _demo),
    "reproduce": Command("run a published experiment: tables, curves, pictures", _reproduce),
    "completion": Command("print what makes bash, zsh or fish complete commands", _completion),
}


def main(args: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status: 0, 2 for a failure, 130 after Ctrl-C."""
    args = sys.argv[1:] if args is None else args
    with interruption:
        try:
            return _told(args)
        except BaseException as error:
            if not interruption.happened and not isinstance(error, KeyboardInterrupt):
                raise
            said = str(error) if isinstance(error, KeyboardInterrupt) else ""
            sys.stderr.write(f"undegrade: interrupted{'; ' if said else ''}{said}\n")
            return INTERRUPTED


def _told(args: Sequence[str]) -> int:
    """Run a command, and tell in one line what failed."""
    try:
        return _dispatch(args)
    except BrokenPipeError:  # such as `undegrade methods | head`
        sys.stderr.close()
        return FAILED
    except (ValueError, OSError, MemoryError) as error:
        if interruption.happened:
            raise
        say(error)
        return FAILED


def _dispatch(args: Sequence[str]) -> int:
    if args[:1] == ["help"] and len(args) > 1:  # help restore is restore --help
        args = [args[1], "--help"]
    if not args or args[0] in ("-h", "--help", "help"):
        sys.stdout.write(_overview())
        return 0 if args else FAILED
    if args[0] in ("-V", "--version"):
        import importlib.metadata

        sys.stdout.write(f"undegrade {importlib.metadata.version('undegrade')}\n")
        return 0
    if args[0] not in COMMANDS:
        raise ValueError(unknown("command", args[0], COMMANDS))
    return COMMANDS[args[0]].run(args[1:])


def _overview() -> str:
    lines = [f"  {name:<20}{command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: undegrade COMMAND [OPTIONS]",
            "",
            "Restores images whose degradation is understood: y = φ(x) + η.",
            "",
            *lines,
            "",
            "`undegrade COMMAND --help` has the options of a command; -V the version.",
            "",
        ]
    )
