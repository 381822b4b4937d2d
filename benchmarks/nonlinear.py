"""Cameras and JPEG: what modelling them is worth, and which solver is quicker.

    python -m benchmarks.nonlinear cameras [--camera KIND] [--every N] [--crop SIDE]
    python -m benchmarks.nonlinear solvers [--every N] [--crop SIDE]
    python -m benchmarks.nonlinear jpeg [--folder set5|cbsd68] [--every N] [--crop SIDE]
    python -m benchmarks.nonlinear memory [--crop SIDE]
    python -m benchmarks.nonlinear learned [--every N] [--crop SIDE]

`cameras` blurs by 11 pixels of motion behind each camera and restores by total variation with the
best of a few weights by the truth, once with the camera in the model and once without, there also
with the noise level that is estimated where a user says nothing (and the weight still the truth's);
beside them both with the weight that total variation chooses itself, and the learned method.
`solvers` gives L-BFGS 200 iterations and counts the processor time that it and Levenberg–Marquardt
need to its value, and what both need until `Variational` would stop them. `jpeg` compares total
variation with the intervals of the file and as denoising of an estimated level, each with the best
weight by the truth, and what `auto` does, with nothing chosen by the truth, on the brightness of
the pictures; on other folders than set5 `auto` alone.
`memory` counts the arrays of the size of a picture that live at once in steps behind blur and gamma
2.2. `learned` restores behind responses by total variation with the weight that it chooses itself
and by the shipped weights for all degradations, once on the measurement that is near the first
estimate and once linearized anew in every step.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

import undegrade as ud
from benchmarks import table
from benchmarks.memory import Alive
from undegrade.core.stopping import Stop
from undegrade.degradations.jpeg import Jpeg
from undegrade.learned.least_squares_features import LeastSquaresFeatures
from undegrade.machines.weight_file import load_weights
from undegrade.metrics.luma import luma
from undegrade.restorers.initial import first_estimate
from undegrade.restorers.recurrent_inference import WEIGHTS as SHIPPED
from undegrade.restorers.recurrent_inference import restored_by

WEIGHTS = (0.05, 0.1, 0.2, 0.35, 0.7)  # times 1.1/std
PEAK = 10.0
STD = 0.02
BLUR = ud.Blur(ud.motion_psf(length=11, angle=30), boundary="replicate")
RESPONSE = ud.Response(ud.Gamma(2.2))
ITERATIONS = 200  # of L-BFGS
STEPS = 60  # of Levenberg–Marquardt
ROUNDING = 1e-6
TOLERANCE = ud.Variational().tolerance
until = partial(ud.until, iterations=1000)


def cameras() -> dict[str, tuple[ud.Operator, ud.Likelihood, ud.Operator, ud.Likelihood, float]]:
    """Operator and noise as they are, as they are taken for, and how bright the picture is."""
    gaussian, poisson = ud.Gaussian(STD), ud.Poisson(PEAK)
    encoded = RESPONSE @ BLUR @ RESPONSE.inverse
    return {
        "gamma 2.2": (encoded, gaussian, BLUR, gaussian, 1.0),
        "saturation": (BLUR, ud.Saturated(gaussian), BLUR, gaussian, 1.5),
        "photons, peak 10": (BLUR, poisson, BLUR, ud.Gaussian((0.45 / PEAK) ** 0.5), 1.0),
    }


def level(kind: str) -> float:
    """About the deviation of the noise, which sets the weights."""
    return (0.45 / PEAK) ** 0.5 if kind.startswith("photons") else STD


def truths(every: int, crop: int) -> list[Tensor]:
    found = [ud.read_image(path) for _, path in table.pictures("cbsd68", every)]
    return [x[..., 40 : 40 + crop, 40 : 40 + crop] for x in found]


def measured(kind: str, x: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """The scene, and what is measured of it."""
    operator, noise, _, _, gain = cameras()[kind]
    scene = gain * x
    return scene, noise.sample(operator(scene), torch.Generator().manual_seed(seed))


def best(measurement: ud.Measurement, scene: Tensor, std: float) -> float:
    """The highest PSNR that a weight gives, both clipped to [0, 1]."""
    values = [
        table.score(
            ud.Variational(weight=1.1 * factor / std, iterations=120)
            .restore(measurement)
            .x.clamp(0, 1),
            scene.clamp(0, 1),
        )
        for factor in WEIGHTS
    ]
    return max(values)


def modelling(camera: str, every: int, crop: int) -> list[table.Row]:
    rows = list[table.Row]()
    for kind, (operator, noise, plain, wrong, _) in cameras().items():
        if not kind.startswith(camera):
            continue
        scores: dict[str, list[float]] = {
            name: []
            for name in (
                *("y", "noise unsaid", "ignored", "modelled"),
                *("unsaid, own weight", "own weight", "learned"),
            )
        }
        for seed, x in enumerate(truths(every, crop)):
            scene, y = measured(kind, x, seed)
            std = level(kind)
            right = ud.Measurement(y, operator, noise)
            scores["y"].append(table.score(y.clamp(0, 1), scene.clamp(0, 1)))
            found = ud.Measurement(y, plain, ud.Gaussian(ud.estimate_noise_std(y)))
            scores["noise unsaid"].append(best(found, scene, std))
            scores["ignored"].append(best(ud.Measurement(y, plain, wrong), scene, std))
            scores["modelled"].append(best(right, scene, std))
            for name, m in (("unsaid, own weight", found), ("own weight", right)):
                own = ud.Variational().restore(m).x
                scores[name].append(table.score(own.clamp(0, 1), scene.clamp(0, 1)))
            learned = ud.RecurrentInference().restore(right).x
            scores["learned"].append(table.score(learned, scene.clamp(0, 1)))
        rows.append({"camera": kind} | {name: table.mean(v) for name, v in scores.items()})
        print(rows[-1], flush=True)
    return rows


def solvers(every: int, crop: int) -> list[table.Row]:
    rows = list[table.Row]()
    for kind, (operator, noise, _, _, _) in cameras().items():
        times, stops = list[float](), list[float]()
        gaps, earlier = list[float](), list[float]()
        for seed, x in enumerate(truths(every, crop)):
            _, y = measured(kind, x, seed)
            prior = ud.TotalVariation("vectorial", 0.004)
            weight = 0.6 * 1.1 / level(kind)
            problem = ud.Objective(ud.Fidelity(operator, noise, y), prior, weight)
            x0 = operator.initial(y)
            curve = trajectory(ud.LBFGS(memory=1), problem, x0, ITERATIONS)
            other = trajectory(ud.LevenbergMarquardt(), problem, x0, STEPS)
            seconds, target = curve[-1]
            # float32 sums over pixels: below 1e-6 of the value nothing can be told apart
            there = [s for s, value in other if value <= target + ROUNDING * abs(target)]
            times.append(there[0] / seconds if there else float("inf"))
            itself = [s for s, value in curve if value <= target + ROUNDING * abs(target)]
            earlier.append(itself[0] / seconds)
            gaps.append((min(v for _, v in other) - target) / abs(target))
            quick, usual = until(residual=TOLERANCE), until(residual=TOLERANCE / 30, every=5)
            stops.append(
                seconds_to(quick, ud.LevenbergMarquardt(), problem, x0)
                / seconds_to(usual, ud.LBFGS(memory=1), problem, x0)
            )
            print(kind, seed, times[-1], earlier[-1], gaps[-1], stops[-1], flush=True)
        rows.append(
            {
                "camera": kind,
                "Levenberg–Marquardt": round(sorted(times)[len(times) // 2], 2),
                "slowest": round(max(times), 2),
                "L-BFGS itself": round(sorted(earlier)[len(earlier) // 2], 2),
                f"value after {STEPS} steps, relative": f"{sorted(gaps)[len(gaps) // 2]:.1e}",
                "to its stop, of L-BFGS's": round(sorted(stops)[len(stops) // 2], 2),
            }
        )
    return rows


def seconds_to(stop: Stop, solver: ud.Solver, problem: ud.Objective, x0: Tensor) -> float:
    """Processor seconds until this rule stops this solver."""
    began = time.process_time()
    ud.solve(solver, problem, x0, stop=stop)
    return time.process_time() - began


def trajectory(
    solver: ud.Solver, problem: ud.Objective, x0: Tensor, steps: int
) -> list[tuple[float, float]]:
    """Processor seconds and value after every step: other work on the machine does not count."""
    began = time.process_time()
    state, seen = solver.init(problem, x0), list[tuple[float, float]]()
    for _ in range(steps):
        state = solver.step(problem, state)
        seen.append((time.process_time() - began, float(state.value)))
    return seen


def jpeg(folder: str, every: int, crop: int) -> list[table.Row]:
    rows = list[table.Row]()
    for quality in (10, 20, 30, 40):
        columns = (
            ("file", "auto") if folder != "set5" else ("file", "denoised", "intervals", "auto")
        )
        scores: dict[str, list[float]] = {name: [] for name in columns}
        for _, path in table.pictures(folder, every):
            whole = ud.read_image(path)
            whole = luma(whole) if whole.shape[1] == 3 else whole
            x = whole[..., :crop, :crop]
            x = x[..., : x.shape[-2] // 8 * 8, : x.shape[-1] // 8 * 8]
            known = ud.Degradation(shape=tuple(x.shape[1:]), jpeg=Jpeg.of_quality(quality))
            y = known.degrade(x, torch.Generator())
            auto = ud.Automatic().restore(known.measurement(y)).x
            scores["file"].append(table.score(y, x))
            scores["auto"].append(table.score(auto, x))
            if "intervals" not in columns:
                continue
            std = float(ud.estimate_noise_std(y))
            white = ud.Measurement(y, ud.Identity(), ud.Gaussian(max(std, 1 / 255)))
            scores["denoised"].append(
                peak(white, x, [f / max(std, 1 / 255) for f in (0.2, 0.5, 1.0)])
            )
            scores["intervals"].append(peak(known.measurement(y), x, [0.3, 1.0, 3.0]))
        rows.append({"quality": quality} | {name: table.mean(v) for name, v in scores.items()})
        print(rows[-1], flush=True)
    return rows


def responses() -> dict[str, tuple[ud.Operator, ud.Likelihood]]:
    """Blurs in light seen through responses; "linear" are those whose x is that light."""
    logarithm = ud.Response(ud.Logarithm())
    gamma = RESPONSE @ BLUR @ RESPONSE.inverse
    small = RESPONSE @ ud.Downsample(2) @ BLUR @ RESPONSE.inverse
    return {
        **{f"gamma 2.2, σ {std}": (gamma, ud.Gaussian(std)) for std in (0.005, 0.02, 0.06)},
        "logarithm, σ 0.02": (logarithm @ BLUR @ logarithm.inverse, ud.Gaussian(0.02)),
        "gamma 2.2, half the size, σ 0.01": (small, ud.Gaussian(0.01)),
        "gamma 2.2, sensor of gain 0.002 and read-out 0.01": (gamma, ud.Sensor(0.002, 0.01)),
        "gamma 2.2, photons, peak 100": (gamma, ud.Poisson(100.0)),
        "gamma 2.2, x linear, σ 0.02": (RESPONSE @ BLUR, ud.Gaussian(0.02)),
        "gamma 2.2, x linear, no blur, σ 0.02": (RESPONSE @ ud.Identity(), ud.Gaussian(0.02)),
        "square of the blur, σ 0.02": (ud.Function(torch.square) @ BLUR, ud.Gaussian(0.02)),
    }


def learned(every: int, crop: int) -> list[table.Row]:
    trained, architecture, _ = load_weights(SHIPPED / "universal.safetensors")
    features = architecture.features
    assert isinstance(features, LeastSquaresFeatures)
    settling = replace(architecture, features=replace(features, cg_iterations=24)).build()
    settling.load_state_dict(trained.state_dict())
    following = settling.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    once = ud.RecurrentInference(weights=SHIPPED / "universal.safetensors")
    methods: dict[str, Callable[[ud.Measurement], Tensor]] = {
        "total variation": lambda m: ud.Variational().restore(m).x,
        "linearized once": lambda m: once.restore(ud.working_measurement(m, first_estimate(m))).x,
        "in every step": lambda m: restored_by(following, m).x,
    }
    rows = list[table.Row]()
    for name, (operator, noise) in responses().items():
        scores: dict[str, list[float]] = {method: [] for method in methods}
        for seed, x in enumerate(truths(every, crop)):
            y = noise.sample(operator(x), torch.Generator().manual_seed(seed))
            for method, restore in methods.items():
                found = restore(ud.Measurement(y, operator, noise))
                scores[method].append(table.score(found.clamp(0, 1), x))
        rows.append({"degradation": name} | {m: table.mean(v) for m, v in scores.items()})
        print(rows[-1], flush=True)
    return rows


def peak(measurement: ud.Measurement, truth: Tensor, weights: Sequence[float]) -> float:
    return max(
        table.score(
            ud.Variational(weight=w, iterations=90).restore(measurement).x.clamp(0, 1), truth
        )
        for w in weights
    )


def memory(side: int) -> list[table.Row]:
    draw = torch.Generator().manual_seed(0)
    operator, noise, _, _, _ = cameras()["gamma 2.2"]
    y = noise.sample(operator(torch.rand(1, 3, side, side, generator=draw)), draw)
    problem = ud.Objective(
        ud.Fidelity(operator, noise, y), ud.TotalVariation("vectorial", 0.004), 30.0
    )
    rows, x0 = list[table.Row](), operator.initial(y)
    for solver in (ud.LevenbergMarquardt(), ud.LBFGS(memory=1)):
        state = solver.init(problem, x0)
        with Alive([y, x0, *problem.buffers()]) as alive:
            for _ in range(7):
                state = solver.step(problem, state)
        arrays = alive.peak / (y.numel() * y.element_size())
        rows.append({"solver": type(solver).__name__, "arrays": round(arrays, 1)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=("cameras", "solvers", "jpeg", "memory", "learned"))
    parser.add_argument("--every", type=int, default=7)
    parser.add_argument("--crop", type=int, default=160)
    parser.add_argument("--camera", default="", help="how the name of the one camera begins")
    parser.add_argument("--folder", default="set5")
    args = parser.parse_args()
    torch.set_num_threads(1)
    made: dict[str, Callable[[], list[table.Row]]] = {
        "cameras": lambda: modelling(args.camera, args.every, args.crop),
        "solvers": lambda: solvers(args.every, args.crop),
        "jpeg": lambda: jpeg(args.folder, args.every, args.crop),
        "memory": lambda: memory(args.crop),
        "learned": lambda: learned(args.every, args.crop),
    }
    folder = f"--folder {args.folder} " if args.which == "jpeg" else ""
    folder += f"--camera {args.camera} " if args.camera else ""
    detail = f"{folder}--every {args.every}"
    command = f"python -m benchmarks.nonlinear {args.which} {detail} --crop {args.crop}"
    part = args.folder if args.which == "jpeg" else args.camera
    name = "_".join(filter(None, (args.which, part)))
    table.write(f"nonlinear_{name}", command, made[args.which]())


if __name__ == "__main__":
    main()
