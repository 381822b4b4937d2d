"""`undegrade degrade IN OUT`: a degraded picture and the description of what was done."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, final

import torch
from tyro import conf

from undegrade.cli.parsing import parse
from undegrade.cli.reading import Reading
from undegrade.degradations.description import write_description
from undegrade.degradations.flags import DegradationFlags
from undegrade.files.atomic import appearing_in
from undegrade.files.picture import write_picture


@final
@dataclass(frozen=True, kw_only=True)
class Degrade:
    """Degrade a picture, and write beside it a JSON file that describes the degradation.

    Arguments:
        input: the picture to degrade.
        output: the degraded picture; its description has .json appended to this name.
        reading: how the picture is read.
        known: the degradation.
        seed: decides the noise, the mask and a random kernel.
    """

    input: Annotated[Path, conf.Positional, conf.arg(metavar="IN")]
    output: Annotated[Path, conf.Positional, conf.arg(metavar="OUT")]
    reading: Annotated[Reading, conf.OmitArgPrefixes] = field(default_factory=Reading)
    known: Annotated[DegradationFlags, conf.OmitArgPrefixes] = field(
        default_factory=DegradationFlags
    )
    seed: int = 0


def run(args: Sequence[str]) -> int:
    """Parse the arguments and degrade."""
    degrade(parse(Degrade, "degrade", args))
    return 0


def degrade(command: Degrade) -> None:
    """Read, degrade, write.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: the picture or the degradation is impossible, or they do not fit.
    """
    source, target = command.input, command.output
    refuse_overwriting(target, [source])
    picture = command.reading.picture(source)
    form = replace(picture.form, palette=False).suited_to(target)  # 256 colors are no noise
    generator = torch.Generator().manual_seed(command.seed)
    degradation = command.known.draw(picture.pixels.shape, generator)
    y = degradation.degrade(picture.pixels, generator)
    with appearing_in(target.parent) as folder:
        write_picture(folder / target.name, replace(picture.with_pixels(y), form=form))
        write_description(folder / f"{target.name}.json", degradation)
    sys.stdout.write(f"{target}\n{target}.json\n")


def refuse_overwriting(target: Path, sources: Sequence[Path]) -> None:
    """Raises ValueError where writing `target` would replace one of the sources."""
    for source in sources:
        if target.exists() and source.exists() and target.samefile(source):
            raise ValueError(f"{target} would overwrite the input {source}")
