"""Turn a segmentation into a picture, and ask whether it is one.

    python docs/tutorials/picture_from_labels.py [--stages 16] [--size 180] [--output DIR]

A segmentation network takes pictures to scores of classes. Seen as a degradation, a label map is
its measurement, and the cross-entropy its likelihood: restoring means to find a picture that would
be segmented so. There are many, and most of them mean something to the network alone.
"""

import argparse
from pathlib import Path

import torch

import undegrade as ud


def street(rows: int) -> torch.Tensor:
    """Sky, houses on both sides, a road between pavements, a car: numbers of CamVid's classes."""
    names = ud.load_segmentation().settings.classes
    sky, building, road, pavement, car = map(
        names.index, ("sky", "building", "road", "pavement", "car")
    )
    y, x = torch.meshgrid(
        torch.linspace(0, 1, rows), torch.linspace(-1, 1, rows * 4 // 3), indexing="ij"
    )
    labels = torch.full(y.shape, float(sky))
    labels[x.abs() > 0.15 + 0.9 * (0.55 - y).abs()] = building
    labels[y > 0.55] = pavement
    labels[(y > 0.55) & (x.abs() < 0.1 + 1.6 * (y - 0.55))] = road
    labels[(y > 0.6) & (y < 0.78) & (x > 0.1) & (x < 0.42)] = car
    return labels[None, None]


def agreement(network: ud.SegmentationNetwork, x: torch.Tensor, labels: torch.Tensor) -> float:
    """Part of the pixels that the network sees as they were asked for."""
    return float((network(x).argmax(1) == labels[:, 0]).float().mean())


def main() -> None:
    """First the network alone, then with views and a denoiser."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", type=int, default=16)
    parser.add_argument("--size", type=int, default=180)
    parser.add_argument("--output", type=Path, default=Path("tutorial"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    labels, network = street(options.size), ud.load_segmentation()
    likelihood = ud.Categorical(smoothing=0.05)
    measurement = ud.Measurement(labels, ud.segmentation_operator(network), likelihood)

    start = ud.first_estimate(measurement)
    print(f"mean colors            {100 * agreement(network, start, labels):.1f} % as asked")

    # as one would restore from any other degradation: quickly satisfied, and no picture
    fidelity = ud.Fidelity(measurement.operator, likelihood, labels)
    objective = ud.Objective(fidelity, ud.TotalVariation(smoothing=0.004), 3.0, ud.Box(0.0, 1.0))
    stop = ud.until(iterations=3 * options.stages)
    alone = ud.solve(ud.LBFGS(memory=5), objective, start, stop=stop).x
    print(f"likelihood and TV      {100 * agreement(network, alone, labels):.1f} % as asked")

    # several views of the picture, and a denoiser that knows what pictures look like
    result = ud.Synthesis(stages=options.stages).restore(measurement)
    print(f"views and a denoiser   {100 * agreement(network, result.x, labels):.1f} % as asked")
    for name, x in (("start", start), ("alone", alone), ("synthesized", result.x)):
        ud.write_image(options.output / f"{name}.png", x.clamp(0, 1))


if __name__ == "__main__":
    main()
