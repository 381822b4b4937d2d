"""The training of the shipped weights, which goes on in the background, and how far it is.

    make weights           starts it, or goes on: one thread, at the lowest priority
    make weights-status    curve, speed, and the average against what ships
    python -m benchmarks.weights stop

for those of noise on color pictures, and the same with WEIGHTS=denoising-gray, universal or
universal-gray (`--weights universal`) for the others that ship. Each goes on from what ships;
docs/learned-trainings.md tells how they came about. Checkpoints, curve and log are in
`runs/weights-denoising` and so on. To begin anew, remove that folder. It may be killed at any time:
what was saved last is gone on from.
"""

import argparse
import fcntl
import os
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

import undegrade as ud
from benchmarks import learned_inverse as inverse
from benchmarks import table
from benchmarks.learned_denoising import measured as noisy
from undegrade.degradations.random import Deblurring, SuperResolution, measured
from undegrade.metrics.luma import gray
from undegrade.restorers.recurrent_inference import WEIGHTS, RecurrentInference
from undegrade.training.mixture import Mixture
from undegrade.training.settings import TrainingSettings
from undegrade.training.train import Progress, train

SHIPPED = {
    name: WEIGHTS / f"{name}.safetensors"
    for name in ("denoising", "denoising-gray", "universal", "universal-gray")
}
PICTURES = ("bsds500/train", "bsds500/test", "photographs")
NOISE = Mixture(denoising=1.0, deblurring=0.0, super_resolution=0.0, inpainting=0.0, gray=0.0)
EVERYTHING = Mixture(
    denoising=0.04, deblurring=0.34, super_resolution=0.46, inpainting=0.16, gray=0.15
)


def settings_of(name: str) -> TrainingSettings:
    """Of the training of one file of weights."""
    noise = name.startswith("denoising")
    return TrainingSettings(
        images=tuple(table.DATA / folder for folder in PICTURES),
        output=Path("runs") / f"weights-{name}",
        start_from=SHIPPED[name],
        mixture=NOISE if noise else EVERYTHING,
        iterations=20_000 if noise else 10_000,
        batch=8,
        crops=(72, 96),
        scales=(1.0, 0.6),
        recolored=0.3,
        kernel_rate=0.004 if noise else 0.003,
        learning_rate=4e-4,
        warm_up=500,
        cool_down=0.9,
        decay=0.4 if noise else 0.6,
        save_every=500,
        accelerator="cpu",
    )


TRAININGS = {name: settings_of(name) for name in SHIPPED}
LINES = 10  # of the curve, in the status
PICTURE_STEP = 8  # every 8th picture of CBSD68 tells weights apart: all see the same noise


def go_on(settings: TrainingSettings) -> None:
    """Train until the end; only one process at a time may."""
    torch.set_num_threads(1)  # two wait for each other as soon as anything else runs
    with alone(settings.output):
        print(train(settings, [speedometer()]), flush=True)


@contextmanager
def alone(folder: Path) -> Generator[None]:
    """Hold the folder's lock, which also says who holds it.

    Raises:
        SystemExit: another process does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SystemExit(f"the training in {folder} runs already") from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def holder(folder: Path) -> int | None:
    """The process that trains in the folder, if any does."""
    with suppress(FileNotFoundError), (folder / "lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read())
    return None


def speedometer(every: int = 50) -> Callable[[Progress], None]:
    """An observer that prints iteration, loss and seconds per iteration."""
    last = [time.perf_counter()]

    def observe(progress: Progress) -> None:
        if progress.iteration % every == 0:
            now = time.perf_counter()
            pace = (now - last[0]) / every
            last[0] = now
            print(
                f"{progress.iteration}  loss {progress.loss.item():.4f}  {pace:.3f} s", flush=True
            )

    return observe


def status(settings: TrainingSettings, images: Path, name: str) -> None:
    """Print whether it runs, the end of the curve, the speed, and the PSNR of the average."""
    process = holder(settings.output)
    print("stopped" if process is None else f"runs as process {process}")
    for file, count in (("curve.csv", LINES), ("log", 1)):
        path = settings.output / file
        if path.exists():
            print("\n".join(path.read_text().splitlines()[-count:]))
    average, shipped = settings.output / "weights.safetensors", SHIPPED[name]
    if average.exists():
        scores = {path: score(path, images, name) for path in (shipped, average)}
        for path, value in scores.items():
            print(f"{value:.3f} dB  {path}")
        print(f"{scores[average] - scores[shipped]:+.3f} dB")


def score(weights: Path, images: Path, name: str) -> float:
    """Mean PSNR on every 8th picture of the folder."""
    restorer = RecurrentInference(weights=weights)
    paths = table.pictures(images, PICTURE_STEP)
    trials = [trial for i, path in paths for trial in trials_of(path, i, name)]
    return table.mean([inverse.score(t, restorer.restore(t.measurement).x) for t in trials], 3)


def trials_of(path: Path, i: int, name: str) -> list[inverse.Trial]:
    """Noise of σ = 25, or a blur and low resolution where weights are for all degradations."""
    if name.startswith("universal"):
        x, draws = ud.read_image(path), (Deblurring(), SuperResolution())
        x = gray(x) if name.endswith("gray") else x
        return [inverse.Trial("", *measured(x, draw, inverse.dice(i)), 10) for draw in draws]
    x, y = noisy(path, i, "gray" if name.endswith("gray") else "color", "float", 25)
    return [inverse.Trial("", x, ud.Measurement(y, ud.Identity(), ud.Gaussian(25 / 255)))]


def main() -> None:
    """One of the three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("train", "status", "stop"))
    parser.add_argument("--weights", choices=TRAININGS, default="denoising")
    asked = parser.parse_args()
    settings = TRAININGS[asked.weights]
    if asked.command == "train":
        go_on(settings)
    elif asked.command == "status":
        status(settings, table.DATA / "cbsd68", asked.weights)
    elif (process := holder(settings.output)) is not None:
        os.kill(process, signal.SIGTERM)


if __name__ == "__main__":
    main()
