"""The pictures of docs/which-method.md and of the README, drawn, degraded and restored here.

    python -m benchmarks.guide

Every strip is what the call beside it in the table makes of a landscape that this file draws (no
photograph of anybody goes into the repository). PSNR against the truth is printed.
"""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image as Pillow
from torch import Tensor
from torch.nn import functional

import undegrade as ud
from undegrade.core.image import Image

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
HEIGHT, WIDTH = 168, 240
_FINE = 3  # drawn this many times as large: smooth edges
_GAP = 6  # white pixels between before and after


def landscape() -> Image:
    """Mountains behind a lake, with a wood, a house and the sun, (1 3 168 240)."""
    h, w = HEIGHT * _FINE, WIDTH * _FINE
    y, x = torch.meshgrid(torch.linspace(0, 1, h), torch.linspace(0, 1.43, w), indexing="ij")
    draw = torch.Generator().manual_seed(4)
    picture = _mix(_color(0.35, 0.58, 0.85), _color(0.98, 0.86, 0.72), (y / 0.55).clamp(0, 1))
    sun = torch.hypot(x - 1.05, y - 0.2)
    picture = picture + 0.25 * torch.exp(-8 * sun) * _color(1.0, 0.8, 0.4)
    picture = torch.where(sun < 0.05, _color(1.0, 0.95, 0.75), picture)
    for base, rough, near in ((0.36, 0.16, 0.25), (0.45, 0.11, 0.55), (0.52, 0.06, 0.9)):
        ridge = base - rough * _fractal(w, draw)
        grain = 0.12 * near * (_grain(h, w, draw) - 0.5)
        rock = _mix(_color(0.62, 0.68, 0.78), _color(0.2, 0.3, 0.18), torch.tensor(near)) + grain
        snow = (y < ridge + 0.05 + 0.04 * _grain(h, w, draw)) & (y < 0.34)
        rock = torch.where(snow, _color(0.95, 0.96, 1.0), rock)
        picture = torch.where(y > ridge, rock, picture)
    for place, size in zip(_uniform(60, draw), _uniform(60, draw), strict=True):
        picture = _tree(picture, x, y, 1.43 * place, 0.56 + 0.02 * size, 0.05 + 0.06 * size)
    picture = _house(picture, x, y)
    return functional.avg_pool2d(_lake(picture, x, y, draw)[None].clamp(0, 1), _FINE)


def _color(*rgb: float) -> Tensor:
    return torch.tensor(rgb)[:, None, None]


def _mix(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    return a + share * (b - a)


def _uniform(count: int, draw: torch.Generator) -> list[float]:
    return torch.rand(count, generator=draw).tolist()


def _fractal(width: int, draw: torch.Generator) -> Tensor:
    """A ridge line from 0 to 1: noise of every length, weaker where it is finer."""
    line = torch.zeros(width)
    for octave in range(2, 9):
        knots = torch.rand(1, 1, 2**octave + 1, generator=draw)
        fine = functional.interpolate(knots, width, mode="linear", align_corners=True)[0, 0]
        line = line + fine / 2 ** (octave - 2)
    return (line - line.min()) / (line.max() - line.min())


def _grain(height: int, width: int, draw: torch.Generator) -> Tensor:
    """Texture from 0 to 1 in two dimensions."""
    grain = torch.zeros(height, width)
    for octave in range(3, 8):
        knots = torch.rand(1, 1, 2**octave, 2**octave, generator=draw)
        grain = grain + functional.interpolate(knots, (height, width), mode="bilinear")[0, 0] / 5
    return grain


def _tree(picture: Tensor, x: Tensor, y: Tensor, at: float, foot: float, tall: float) -> Tensor:
    top = foot - tall
    width = 0.3 * (y - top) * (0.7 + 0.3 * torch.cos(2 * math.pi * (y - top) / tall * 4))
    inside = (y > top) & (y < foot) & ((x - at).abs() < width)
    shade = 0.6 + 0.4 * ((x - at) > 0).to(x)
    return torch.where(inside, shade * _color(0.10, 0.25, 0.12), picture)


def _house(picture: Tensor, x: Tensor, y: Tensor) -> Tensor:
    wall = (x > 0.25) & (x < 0.42) & (y > 0.49) & (y < 0.58)
    planks = 0.9 + 0.1 * torch.sign(torch.sin(400 * y))
    picture = torch.where(wall, planks * _color(0.62, 0.22, 0.16), picture)
    roof = (y > 0.42) & (y < 0.495) & ((x - 0.335).abs() < (y - 0.42) * 1.5)
    picture = torch.where(roof, _color(0.25, 0.2, 0.2), picture)
    for left in (0.28, 0.36):
        window = (x > left) & (x < left + 0.03) & (y > 0.515) & (y < 0.55)
        picture = torch.where(window, _color(1.0, 0.9, 0.55), picture)
    return picture


def _lake(picture: Tensor, x: Tensor, y: Tensor, draw: torch.Generator) -> Tensor:
    """Below the shore, what is above it: mirrored, rippled, darker."""
    height, width = y.shape
    shore = int(0.58 * height)
    depth = torch.arange(height - shore)
    ripple = (6 * torch.sin(0.35 * depth + 3 * torch.rand(len(depth), generator=draw))).long()
    rows = (shore - 1 - depth).clamp(min=0)
    columns = (torch.arange(width)[None] + ripple[:, None]) % width
    mirrored = picture[:, rows[:, None], columns]
    water = _mix(mirrored, _color(0.12, 0.25, 0.35), (0.25 + 0.5 * (y[shore:] - 0.58)))
    del x
    return torch.cat((picture[:, :shore], water), 1)


def situations() -> dict[str, tuple[str, str]]:
    """By the name of the strip: what `degrade` is given, and what `restore` is told."""
    half = "--blur gaussian:0.8 --boundary periodic --downsample 2 --noise gaussian:0.004"
    return {
        "noisy": ("--noise gaussian:0.1 --bits 8", ""),
        "dark": ("--noise poisson:30 --bits 8", "--noise poisson:30"),
        "peppered": ("--noise salt-and-pepper:0.3 --bits 8", "--noise salt-and-pepper:0.3"),
        "shaken": (
            "--blur motion:15:30 --noise gaussian:0.01 --bits 8",
            "--blur motion:15:30 --noise gaussian:0.01",
        ),
        "defocused": (
            "--blur disk:3.4 --noise gaussian:0.01 --bits 8",
            "--blur disk:2..6 --noise gaussian:0.01",
        ),
        "small": (f"{half} --bits 8", half),
    }


def strip(before: Image, after: Image) -> Image:
    """Side by side, the first one enlarged to the size of the second."""
    factor = after.shape[-1] // before.shape[-1]
    before = before.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    gap = after.new_ones(*after.shape[:3], _GAP)
    return torch.cat((before, gap, after), 3).clamp(0, 1)


def scratched(x: Image) -> tuple[Image, Image]:
    """White scratches, and the mask that is black there."""
    y, across = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    lost = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    for slope, offset in ((0.35, 20), (-0.2, 130), (1.5, -120), (0.1, 75)):
        lost |= (y - slope * across - offset).abs() < 1.6 * math.hypot(1, slope)
    return torch.where(lost, 1.0, x), (~lost).to(x)[None, None]


def write(name: str, before: Image, after: Image, truth: Image) -> None:
    """As JPEG of the quality that pages use."""
    samples = (strip(before, after)[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    Pillow.fromarray(samples).save(PICTURES / f"{name}.jpg", quality=85)
    print(f"{name}: {float(ud.psnr(after, truth)):.2f} dB", flush=True)


def run(call: Callable[[list[str]], int], *words: str) -> None:
    if call(list(words)):
        raise SystemExit(" ".join(words))


def main() -> None:
    import os
    import tempfile

    from undegrade.cli import main as undegrade

    PICTURES.mkdir(exist_ok=True)
    truth, at = landscape(), Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        ud.write_image("x.png", truth)
        for name, (degraded, known) in situations().items():
            run(undegrade, "degrade", "x.png", f"{name}.png", *degraded.split())
            Path(f"{name}.png.json").unlink()
            run(undegrade, "restore", f"{name}.png", "-o", name, *known.split())
            (after,) = Path(name).glob(f"{name}-*.png")
            write(name, ud.read_image(f"{name}.png"), ud.read_image(after), truth)
        y, mask = scratched(truth)
        ud.write_image("scratched.png", y)
        ud.write_image("mask.png", mask)
        run(undegrade, "restore", "scratched.png", "-o", "s", "--mask", "mask.png")
        (after,) = Path("s").glob("scratched-*.png")
        write("scratched", y, ud.read_image(after), truth)
        os.chdir(at)


if __name__ == "__main__":
    main()
