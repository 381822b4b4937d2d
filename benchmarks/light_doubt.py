"""Whether `restore` tells a blur in light from a blur in the values of a file.

    python -m benchmarks.light_doubt [--every 3]

Pictures of CBSD68 behind six kinds of kernels and three levels of noise, one of each for a picture
in turn, in 8 bits, once blurred in light (sRGB) and once in values. They are restored as if they
were blurred in values, by the kernel as it is, by one a tenth too wide and one a tenth too narrow,
and with noise told half and twice of what it is. `told` counts the pictures of which the program
says that they look blurred in light: wanted of all above the line, and of none below.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

import undegrade as ud
from benchmarks import table
from undegrade.degradations.degradation import Degradation
from undegrade.degradations.kernel_doubt import stretched
from undegrade.degradations.kernel_file import read_kernel
from undegrade.degradations.light_doubt import MORE, gain_in_light
from undegrade.likelihoods.rounding import rounded

STDS = (0.002, 0.007, 0.02)
RESPONSE = ud.Response(ud.SRGB())


class Said(NamedTuple):
    """What is said: how much wider the kernel, and how much stronger the noise, than they are."""

    name: str
    wider: float = 1.0
    stronger: float = 1.0


SAID = (
    Said("as it is"),
    Said("kernel a tenth too wide", wider=1.1),
    Said("kernel a tenth too narrow", wider=0.9),
    Said("half the noise", stronger=0.5),
    Said("twice the noise", stronger=2.0),
)


def kernels() -> dict[str, Tensor]:
    """Of size kh kw."""
    shakes = table.DATA / "kernels" / "Levin09.mat"
    return {
        "motion, 15 px": ud.motion_psf(length=15, angle=20),
        "disk, radius 3": ud.disk_psf(3.0),
        "camera shake": read_kernel(f"{shakes}:3").squeeze(),
        "Gaussian, σ 1.6": ud.gaussian_psf(1.6),
        "motion, 7 px": ud.motion_psf(length=7, angle=80),
        "disk, radius 6": ud.disk_psf(6.0),
    }


def restore(measurement: ud.Measurement) -> Tensor:
    """As the command does."""
    return ud.RecurrentInference().restore(measurement).x


def gains(
    pictures: Sequence[tuple[int, Path]], said: Said, *, in_light: bool
) -> dict[str, list[float]]:
    """For each kind of kernel what light leaves less."""
    psfs, found = kernels(), dict[str, list[float]]()
    for k, (i, path) in enumerate(pictures):
        name = list(psfs)[k % len(psfs)]
        std, blur = STDS[k // len(psfs) % len(STDS)], ud.Blur(psfs[name], "replicate")
        operator = RESPONSE @ blur @ RESPONSE.inverse if in_light else blur
        x, dice = ud.read_image(path), torch.Generator().manual_seed(1000 + i)
        y = rounded(ud.Gaussian(std).sample(operator(x), dice))
        psf = psfs[name] if said.wider == 1 else stretched(psfs[name].double(), said.wider).float()
        shape = 3, x.shape[-2], x.shape[-1]
        believed = Degradation(shape=shape, blur=ud.Blur(psf, "replicate"))
        gain = gain_in_light(believed, y, said.stronger * std, restore)
        found.setdefault(name, []).append(gain or 0.0)
    return found


def row(name: str, blurred: str, values: Sequence[float]) -> table.Row:
    ordered = sorted(values)
    return {
        "blurred in": blurred,
        "said": name,
        "pictures": len(values),
        "told": sum(gain >= MORE for gain in values),
        "least gain": round(ordered[0], 3),
        "median": round(ordered[len(ordered) // 2], 3),
        "most": round(ordered[-1], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=3)
    every = parser.parse_args().every
    torch.set_num_threads(1)
    pictures, rows = table.pictures("cbsd68", every), list[table.Row]()
    for blurred in ("light", "values"):
        for said in SAID:
            kinds = gains(pictures, said, in_light=blurred == "light")
            some = [each for values in kinds.values() for each in values]
            rows.append(row(said.name, blurred, some))
            print(rows[-1], flush=True)
            if said == SAID[0]:
                rows += [row(f"{said.name}, {n}", blurred, v) for n, v in kinds.items()]
    table.write("light_doubt", f"python -m benchmarks.light_doubt --every {every}", rows)


if __name__ == "__main__":
    main()
