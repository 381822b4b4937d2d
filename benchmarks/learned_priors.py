r"""Learned priors against total variation: noise, and camera shake.

    python -m benchmarks.learned_priors [--every N] [--shake]

CBSD68 in gray (every N-th picture), σ = 25, noise as floating-point numbers, clipped for the score
alone. The priors are those that are shipped, learned on the 200 training pictures of BSDS500:

    undegrade learn-prior --images bsds500/train --output experts.safetensors \
        --iterations 1800 --crops 600
    undegrade learn-prior --images bsds500/train --output convex-experts.safetensors \
        --model convex --iterations 400

Total variation has the weight that is chosen from the picture. With `--shake` as well: 128×128
crops of five pictures, 21×21 kernels, noise of 2.55/255, blur that wraps around; every prior with
its best weight of a grid of factors 2, found with the truth, and that which is chosen without it.
"""

import argparse

import torch

import undegrade as ud
from benchmarks.table import mean, pictures, score, write
from undegrade.kernels.camera_shake import camera_shake_psfs
from undegrade.metrics.luma import gray

STD, SHAKE_STD, SHAKE_SIDE = 25 / 255, 2.55 / 255, 128
PRIORS = (None, "convex-experts", "experts")
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)


def denoising(every: int) -> list[dict[str, object]]:
    scores, seconds = {p: list[float]() for p in PRIORS}, {p: list[float]() for p in PRIORS}
    for number, path in pictures("cbsd68", every):
        x = gray(ud.read_image(path))
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(number))
        m = ud.Measurement(x + STD * noise, ud.Identity(), ud.Gaussian(STD))
        for prior in PRIORS:
            result = ud.Variational(prior=prior).restore(m)
            scores[prior].append(score(result.x.clamp(0, 1), x))
            seconds[prior].append(result.seconds)
        print(path.stem, [round(s[-1], 2) for s in scores.values()], flush=True)
    return [
        {
            "task": f"noise σ = 25, {len(scores[None])} pictures",
            "prior": prior or "total variation",
            "dB": mean(scores[prior], 3),
            "dB, weight chosen": "",
            "s": mean(seconds[prior]),
        }
        for prior in PRIORS
    ]


def shaken(x: torch.Tensor, psf: torch.Tensor, seed: int) -> ud.Measurement:
    A = ud.Blur(psf, "periodic")
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    return ud.Measurement(A(x) + SHAKE_STD * noise, A, ud.Gaussian(SHAKE_STD))


def shake() -> list[dict[str, object]]:
    psfs = camera_shake_psfs(5, 21, torch.Generator().manual_seed(0))
    best, chosen = {p: list[float]() for p in PRIORS}, {p: list[float]() for p in PRIORS}
    for i, (number, path) in enumerate(pictures("cbsd68", 14)):
        x = gray(ud.read_image(path))[..., 90 : 90 + SHAKE_SIDE, 90 : 90 + SHAKE_SIDE]
        m = shaken(x, psfs[i], number)
        for prior in PRIORS:
            automatic = ud.Variational(prior=prior).restore(m)
            weight = float(automatic.chosen["weight"])
            chosen[prior].append(score(automatic.x.clamp(0, 1), x))
            tried = [
                score(ud.Variational(prior=prior, weight=f * weight).restore(m).x.clamp(0, 1), x)
                for f in FACTORS
            ]
            best[prior].append(max(tried))
        print(path.stem, [(round(best[p][-1], 2), round(chosen[p][-1], 2)) for p in PRIORS])
    return [
        {
            "task": f"21×21 shake, {len(best[None])} crops",
            "prior": prior or "total variation",
            "dB": mean(best[prior], 3),
            "dB, weight chosen": mean(chosen[prior], 3),
            "s": "",
        }
        for prior in PRIORS
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--shake", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    command = f"python -m benchmarks.learned_priors --every {options.every}"
    rows, command = denoising(options.every), command + " --shake" * options.shake
    write("learned_priors", command, [*rows, *(shake() if options.shake else [])])


if __name__ == "__main__":
    main()
