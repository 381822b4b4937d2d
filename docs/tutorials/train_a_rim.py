"""Train a small recurrent inference machine in five minutes, restore with it, look at its steps.

    python docs/tutorials/train_a_rim.py [--minutes 5] [--output FOLDER]

It needs no data: the pictures come with scikit-image. One of them, the astronaut, is kept out of
the training and restored in the end.
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import skimage
import torch

import undegrade as ud

PHOTOGRAPHS = ("chelsea.png", "coffee.png", "hubble_deep_field.jpg", "ihc.png", "rocket.jpg")


def gather(folder: Path) -> Path:
    """A folder of pictures is all that a training needs."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PHOTOGRAPHS:
        shutil.copy(Path(skimage.__file__).parent / "data" / name, folder / name)
    return folder


def settings(output: Path, minutes: float) -> ud.TrainingSettings:
    """A twentieth of the shipped machine's parameters, two steps, noise and missing pixels.

    A training ends by its iterations, so that its result can be repeated; `seconds` interrupts it,
    and the same settings without `seconds` go on from there.
    """
    return ud.TrainingSettings(
        images=(gather(output / "pictures"),),
        output=output / "training",
        architecture=replace(
            ud.ARCHITECTURES["denoising"],
            cell=ud.MultiscaleSettings(widths=(24, 32), middle=2),
            steps=2,
        ),
        mixture=ud.Mixture(deblurring=0.0, super_resolution=0.0, denoising=0.7, inpainting=0.3),
        iterations=max(2, round(500 * minutes)),
        batch=8,
        crops=(48, 64),
        scales=(1.0, 0.5),
        kernel_rate=0.02,
        learning_rate=2e-3,
        save_every=500,
        accelerator="cpu",
    )


def show(progress: ud.Progress) -> None:
    """An observer of the training: one line every hundred iterations."""
    if progress.iteration % 100 == 0:
        print(f"iteration {progress.iteration:5d}   {progress.seconds:4.0f} s")


def restore(weights: Path, x: torch.Tensor, output: Path) -> None:
    """Noise of σ = 25, removed in two steps; every step is seen by an observer."""
    eta = ud.Gaussian(25 / 255)
    y = eta.sample(x, torch.Generator().manual_seed(0))
    print(f"measured   {float(ud.psnr(y, x)):.2f} dB")

    def look(step: int, state: ud.State) -> dict[str, torch.Tensor]:
        print(f"step {step}     {float(ud.psnr(state.x, x)):.2f} dB")
        ud.write_image(output / f"step{step}.png", state.x.clamp(0, 1))
        return {"psnr": ud.psnr(state.x, x)}

    restorer = ud.RecurrentInference(weights=weights)
    result = restorer.restore(ud.Measurement(y, ud.Identity(), eta), observe=[look])
    tv = ud.Variational().restore(ud.Measurement(y, ud.Identity(), eta))
    print(f"learned    {float(ud.psnr(result.x, x)):.2f} dB in {result.seconds:.2f} s")
    print(f"TV         {float(ud.psnr(tv.x, x)):.2f} dB in {tv.seconds:.2f} s")
    ud.write_image(output / "measured.png", y.clamp(0, 1))


def main() -> None:
    """Everything in order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--output", type=Path, default=Path("tutorial"))
    options = parser.parse_args()
    weights = ud.train(settings(options.output, options.minutes), [show])
    astronaut = ud.read_image(Path(skimage.__file__).parent / "data" / "astronaut.png")
    restore(weights, astronaut[..., 0:256, 128:384], options.output)


if __name__ == "__main__":
    main()
