"""`undegrade completion SHELL`: what makes a shell complete commands, options and methods."""

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, final

from tyro import conf

from undegrade.cli.methods import settings_of
from undegrade.cli.parsing import parse
from undegrade.cli.reading import Reading
from undegrade.degradations.flags import DegradationFlags
from undegrade.restorers import restorers
from undegrade.training.prior_settings import PriorSettings
from undegrade.training.segmentation import SegmentationSettings
from undegrade.training.settings import TrainingSettings


@final
@dataclass(frozen=True, kw_only=True)
class Completion:
    """Print what makes a shell complete commands, options and methods.

    For bash: eval "$(undegrade completion bash)"; for zsh the same, after `autoload -U compinit;
    compinit`; for fish: undegrade completion fish | source.

    Arguments:
        shell: bash, zsh or fish.
    """

    shell: Annotated[Literal["bash", "zsh", "fish"], conf.Positional]


def run(args: Sequence[str], commands: Mapping[str, str]) -> int:
    """Parse the arguments and print the script.

    Arguments:
        args: of the command line.
        commands: all there are, and what each does.
    """
    shell = parse(Completion, "completion", args).shell
    script = _fish(commands) if shell == "fish" else _bash(commands, zsh=shell == "zsh")
    sys.stdout.write(script)
    return 0


def _flags(*groups: type[Any]) -> list[str]:
    return [f"--{field.name.replace('_', '-')}" for group in groups for field in fields(group)]


def _words(commands: Iterable[str]) -> Mapping[str, list[str]]:
    """The options of each command; those of all methods, because any may be meant."""
    known = _flags(DegradationFlags, Reading)
    settings = [flag for method in restorers().values() for flag in settings_of(method)]
    restore = ["--output", "--degradation", "--method", "--reference", "--device", "--resume"]
    options = {
        "degrade": [*known, "--seed"],
        "restore": [*restore, *known, *settings],
        "benchmark": ["--images", "--degradations", "--methods", "--output", "--seed"],
        "train": _flags(TrainingSettings),
        "train-segmentation": _flags(SegmentationSettings),
        "learn-prior": _flags(PriorSettings),
        "synthesize": ["--output", "--weights", "--other", "--seed", "--stages"],
        "demo": ["--output"],
        "reproduce": ["--images", "--output", "--budget"],
        "completion": ["bash", "zsh", "fish"],
    }
    return {name: list(dict.fromkeys([*options.get(name, []), "--help"])) for name in commands}


def _bash(commands: Mapping[str, str], *, zsh: bool) -> str:
    cases = "".join(
        f"    {name}) words={shlex.quote(' '.join(words))};;\n"
        for name, words in _words(commands).items()
    )
    methods = " ".join(restorers())
    return (
        ("autoload -U bashcompinit; bashcompinit\n" if zsh else "")
        + "_undegrade() {\n"
        + f"  local words={shlex.quote(' '.join(commands))}\n"
        + '  [ "$COMP_CWORD" -gt 1 ] && case "${COMP_WORDS[1]}" in\n'
        + cases
        + "  esac\n"
        + f'  [ "${{COMP_WORDS[COMP_CWORD-1]}}" = --method ] && words={shlex.quote(methods)}\n'
        + '  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))\n'
        + "}\ncomplete -o default -F _undegrade undegrade\n"
    )


def _fish(commands: Mapping[str, str]) -> str:
    lines = [
        f"complete -c undegrade -n __fish_use_subcommand -a {name} -d {shlex.quote(summary)}"
        for name, summary in commands.items()
    ]
    for name, words in _words(commands).items():
        seen = f"complete -c undegrade -n '__fish_seen_subcommand_from {name}'"
        lines += [f"{seen} -l {w[2:]}" if w.startswith("--") else f"{seen} -a {w}" for w in words]
    methods = shlex.quote(" ".join(restorers()))
    lines.append(
        f"complete -c undegrade -n '__fish_seen_subcommand_from restore' -l method -xa {methods}"
    )
    return "\n".join(lines) + "\n"
