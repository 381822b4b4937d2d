"""Segmentation of street scenes, and pictures made from label maps.

    python -m benchmarks.synthesis network [--weights FILE]
    python -m benchmarks.synthesis pictures --other FILE [--count 10] [--show synthesized]

`network` measures the shipped network on the test folder of CamVid. `pictures` takes evenly spaced
label maps of that folder; for each the photograph itself, the mean colors, total variation with
L-BFGS (the experiment of the LGD project: no views, no denoiser) and `Synthesis`: cross-entropy of
a pixel and pixels as asked, by the shipped network, and by another one, trained with another seed
and width, that no picture was fitted to. What is in the `--show` folder already is not made anew.
The other one: `undegrade train-segmentation --widths 24 48 72 80 --seed 7 --iterations 1200
--precision float32` on CamVid's train and val.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

import undegrade as ud
from benchmarks import table
from undegrade.files.labels import labelled_pictures, read_labels
from undegrade.metrics.overlap import accuracy, confusion, mean_overlap
from undegrade.restorers.segmentation_file import SHIPPED
from undegrade.training.segmentation import read_labelled

TEST = table.DATA / "camvid" / "test"
TV_WEIGHT = 3e-4  # of the LGD project, against the mean cross-entropy of the pixels
TV_STEPS = 100


def network(weights: Path) -> list[table.Row]:
    asked, data = ud.load_segmentation(weights), read_labelled((TEST,))
    names = asked.settings.classes
    counts = torch.zeros((), dtype=torch.long)
    with torch.no_grad():
        for x, labels in zip(data.pictures.split(8), data.labels.split(8), strict=True):
            counts = counts + confusion(asked(x / 255).argmax(1), labels, len(names))
    both = counts.diagonal()
    each = both / (counts.sum(0) + counts.sum(1) - both)
    row = {"mean overlap": f"{mean_overlap(counts):.3f}", "pixels": f"{accuracy(counts):.3f}"}
    return [row | {name: f"{float(v):.2f}" for name, v in zip(names, each, strict=True)}]


def measured(asked: ud.SegmentationNetwork, labels: Tensor) -> ud.Measurement:
    likelihood = ud.Categorical(smoothing=0.05)
    return ud.Measurement(labels[:, None].float(), ud.segmentation_operator(asked), likelihood)


def by_total_variation(problem: ud.Measurement) -> Tensor:
    """As it was: gray at the start, only the network and total variation."""
    x0 = torch.full_like(ud.first_estimate(problem), 0.5)
    fidelity = ud.Fidelity(problem.operator, ud.Categorical(), problem.y)
    prior = ud.TotalVariation("anisotropic", 0.004)
    weight = TV_WEIGHT * problem.y.numel()
    objective = ud.Objective(fidelity, prior, weight, ud.Box(0.0, 1.0))
    return ud.solve(ud.LBFGS(memory=5), objective, x0, stop=ud.until(iterations=TV_STEPS)).x


def judged(asked: ud.SegmentationNetwork, x: Tensor, labels: Tensor) -> tuple[float, float]:
    """Cross-entropy of a pixel of a class, and part of them that is as asked."""
    scores, classes = asked(x), len(asked.settings.classes)
    known = int((labels < classes).sum())
    cost = float(ud.Categorical()(scores, labels[:, None].float())) / known
    return cost, 100 * accuracy(confusion(scores.argmax(1), labels, classes))


def pictures(other: Path, count: int, show: Path) -> list[table.Row]:
    shipped, second = ud.load_segmentation(), ud.load_segmentation(other)
    show.mkdir(parents=True, exist_ok=True)
    pairs = labelled_pictures(TEST)
    pairs = pairs[:: len(pairs) // count][:count]
    ways: dict[str, Callable[[ud.Measurement, Path], Tensor]] = {
        "photograph": lambda _, path: ud.read_image(path),
        "mean colors": lambda problem, _: ud.first_estimate(problem),
        "total variation and L-BFGS": lambda problem, _: by_total_variation(problem),
        "Synthesis": lambda problem, _: ud.Synthesis().restore(problem).x,
    }
    scores = {way: list[tuple[float, ...]]() for way in ways}
    for path, label_path in pairs:
        labels = read_labels(label_path)
        problem = measured(shipped, labels)
        for way, make in ways.items():
            file = show / f"{path.stem} {way}.png"
            if not file.exists():
                ud.write_image(file, make(problem, path))
            x = ud.read_image(file)  # with 8 bits, as it is looked at
            scores[way].append((*judged(shipped, x, labels), *judged(second, x, labels)))
            print(path.stem, way, *(f"{v:.3f}" for v in scores[way][-1]), flush=True)
    columns = ("cross-entropy", "as asked, %", "cross-entropy, other", "as asked, %, other")
    means = {way: torch.tensor(rows).mean(0).tolist() for way, rows in scores.items()}
    return [
        {"picture": way} | {c: f"{v:.3f}" for c, v in zip(columns, values, strict=True)}
        for way, values in means.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=("network", "pictures"))
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    parser.add_argument("--other", type=Path)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--show", type=Path, default=Path("synthesized"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.which == "network":
        rows = network(args.weights)
    elif args.other is None:
        parser.error("pictures needs --other, weights of a second network")
    else:
        with torch.no_grad():
            rows = pictures(args.other, args.count, args.show)
    table.write(f"synthesis_{args.which}", f"python -m benchmarks.synthesis {args.which}", rows)


if __name__ == "__main__":
    main()
