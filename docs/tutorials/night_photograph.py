"""A night photograph, blurred by motion, its lights clipped: what each part of the model is worth.

    python docs/tutorials/night_photograph.py [--size 192] [--output DIR]

Lights at night are many times as bright as what a file can hold. Blur spreads that light before the
sensor clips it, so that a streak of pure white is all that is left of a lamp. Taken for numbers,
the streaks contradict the blur, and deblurring rings about them; a clipped value only says
"at least this much".
"""

import argparse
from pathlib import Path

import torch
from skimage import data

import undegrade as ud


def night(size: int) -> torch.Tensor:
    """A photograph of a coffee cup in linear light, darkened, with seven lamps."""
    picture = torch.from_numpy(data.coffee()).permute(2, 0, 1)[None].float() / 255
    scene = 0.35 * picture[..., 60 : 60 + size, 150 : 150 + size] ** 2.2
    place = torch.Generator().manual_seed(3)
    for _ in range(7):
        row, column = (int(torch.randint(8, size - 8, (), generator=place)) for _ in range(2))
        scene[..., row - 1 : row + 2, column - 1 : column + 2] = torch.tensor(
            [6.0, 5.0, 3.5]
        ).reshape(1, 3, 1, 1)
    return scene


def shown(light: torch.Tensor) -> torch.Tensor:
    """Linear light as a screen shows it."""
    return light.clamp(0, 1) ** (1 / 2.2)


def main() -> None:
    """The same measurement, restored by three models of the camera."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--output", type=Path, default=Path("tutorial"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    scene, std = night(options.size), 0.005
    blur = ud.Blur(ud.motion_psf(length=15, angle=25), boundary="replicate")
    camera = ud.Saturated(ud.Gaussian(std))
    y = camera.sample(blur(scene), torch.Generator().manual_seed(0))
    print(f"clipped entries    {100 * float((y >= 1).float().mean()):.1f} %")
    print(f"blurred            {float(ud.psnr(shown(y), shown(scene))):.2f} dB")

    lost = ud.Mask((y < 1).float())
    models = {
        "as numbers": ud.Measurement(y, blur, ud.Gaussian(std)),
        "as lost": ud.Measurement(torch.where(y < 1, y, 0.0), lost @ blur, ud.Gaussian(std)),
        "at least": ud.Measurement(y, blur, camera),
    }
    # a fixed weight, so that nothing but the model differs; light is nowhere negative
    method = ud.Variational(weight=0.5 / std, nonnegative=True, iterations=300)
    ud.write_image(options.output / "blurred.png", shown(y))
    ud.write_image(options.output / "scene.png", shown(scene))
    for name, measurement in models.items():
        x = method.restore(measurement).x
        print(f"clipped {name:<11}{float(ud.psnr(shown(x), shown(scene))):.2f} dB")
        ud.write_image(options.output / f"{name.replace(' ', '_')}.png", shown(x))


if __name__ == "__main__":
    main()
