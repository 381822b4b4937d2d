"""Published denoisers beside ours, in one run: same pictures, same draws, PSNR and seconds.

    python -m benchmarks.peers --weights FOLDER [--images FOLDER…] [--every N] [--bm3d]
        [--pictures gray] [--std 1 4]

The folder holds the weight files that the authors of FFDNet, DnCNN, FDnCNN and of the bias-free
U-Net published (names as in `PEERS`); a peer whose file is missing is left out. Pictures are those
of CBSD68 in color and in gray, float and 8-bit noise, or those of other folders, of which there is
a table of its own: of two networks either may be ahead, as pictures go; and so there is of float
noise of other levels. `least gain` is that of the worst picture over its noisy version. The noise
of picture i comes from seed 1000 + i, as in `learned_denoising`. The methods take turns on every
picture, on one thread; seconds are medians. What was computed before, with the same weights of
ours, is read from `runs/peers`: so `--pictures gray` may run beside `--pictures color`, and a run
of both makes the table. Published means (CBSD68, float, σ 15/25/50): CDnCNN-S 33.90/31.24/27.95,
FFDNet 33.87/31.21/27.96.

Beside the table it draws results/peers.svg, PSNR against seconds at σ = 25 of the methods within a
decibel of the best, with the line of what no other beats in both. `pip install -e '.[bench]'`
brings what draws, and BM3D for --bm3d, which takes half a minute for a picture in color.

References:
    Zhang, Zuo, Chen, Meng and Zhang, Beyond a Gaussian denoiser (2017); Zhang, Zuo and Zhang,
    FFDNet: toward a fast and flexible solution for CNN-based image denoising (2018); Mohan,
    Kadkhodaie, Simoncelli and Fernandez-Granda, Robust and interpretable blind image denoising via
    bias-free convolutional neural networks (2020).
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, pixel_shuffle, pixel_unshuffle

import undegrade as ud
from benchmarks import table
from benchmarks.learned_denoising import SHIPPED, measured

Denoiser = Callable[[Tensor, float], Tensor]
Layer = tuple[Tensor, Tensor]
OURS = "undegrade learned"
CBSD68 = Path("cbsd68")
SETTINGS = [("color", "float", std) for std in (15, 25, 50)] + [("color", "8-bit", 25)]
SETTINGS += [("gray", "float", std) for std in (15, 25, 50)]


def convolutions(path: Path) -> list[Layer]:
    """Kernels and biases of a MatConvNet file in HDF5, for pictures with x and y exchanged.

    MATLAB stores (y, x, in, out), which HDF5 reverses to (out, in, x, y); an `out` of 1 is dropped.
    """
    layers = list[Layer]()
    with h5py.File(path) as file:
        for reference in file["net"]["layers"][()].ravel():
            layer = file[reference]
            if bytes(layer["type"][()].ravel().tolist()) == b"conv":
                kernel, bias = (torch.from_numpy(file[r][()]) for r in layer["weights"][()].ravel())
                shape = kernel.shape if kernel.ndim == 4 else (1, *kernel.shape)
                like = torch.channels_last
                layers.append((kernel.reshape(shape).contiguous(memory_format=like), bias.ravel()))
    return layers


def chained(layers: list[Layer], u: Tensor) -> Tensor:
    """3×3 convolutions with rectifiers between them."""
    for i, (kernel, bias) in enumerate(layers):
        u = conv2d(u if i == 0 else u.relu_(), kernel, bias, padding=1)
    return u


def exchanged(y: Tensor) -> Tensor:
    return y.mT.contiguous(memory_format=torch.channels_last)


def with_level(u: Tensor, std: float) -> Tensor:
    level = u.new_full((len(u), 1, *u.shape[2:]), std)
    return torch.cat((u, level), 1).contiguous(memory_format=torch.channels_last)


def dncnn(path: Path) -> Denoiser:
    """The network predicts the noise."""
    layers = convolutions(path)
    return lambda y, _: y - chained(layers, exchanged(y)).mT


def fdncnn(path: Path) -> Denoiser:
    """The noise level is a channel, and the network predicts the picture."""
    layers = convolutions(path)
    return lambda y, std: chained(layers, with_level(exchanged(y), std)).mT


def ffdnet(path: Path) -> Denoiser:
    """The same on the four sub-images, column first: with x and y exchanged, row first."""
    layers = convolutions(path)

    def denoise(y: Tensor, std: float) -> Tensor:
        h, w = y.shape[2:]
        even = torch.nn.functional.pad(y, (0, w % 2, 0, h % 2), mode="replicate")
        u = chained(layers, with_level(pixel_unshuffle(exchanged(even), 2), std))
        return pixel_shuffle(u, 2).mT[..., :h, :w]

    return denoise


def bias_free_unet(path: Path) -> Denoiser:
    """Nine convolutions without biases, one level down, dilated in the middle; gray."""
    with torch.serialization.safe_globals([argparse.Namespace]):
        weights = torch.load(path, map_location="cpu", weights_only=True)["model"][0]
    K = [weights[f"conv{i}.weight"] for i in range(1, 10)]

    def denoise(y: Tensor, std: float) -> Tensor:
        del std
        h, w = y.shape[2:]
        u = torch.nn.functional.pad(y, (0, w % 2, 0, h % 2), mode="replicate")
        fine = conv2d(conv2d(u, K[0], padding=2).relu_(), K[1], padding=1).relu_()
        u = conv2d(conv2d(fine, K[2], stride=2, padding=1).relu_(), K[3], padding=1).relu_()
        u = conv2d(conv2d(u, K[4], padding=2, dilation=2).relu_(), K[5], padding=4, dilation=4)
        u = conv_transpose2d(u.relu_(), K[6], stride=2, padding=1).relu_()
        u = conv2d(torch.cat((u, fine), 1), K[7], padding=1).relu_()
        return conv2d(u, K[8], padding=2)[..., :h, :w]

    return denoise


def ours(y: Tensor, std: float) -> Tensor:
    return ud.RecurrentInference().restore(ud.Measurement(y, ud.Identity(), ud.Gaussian(std))).x


def ensemble(y: Tensor, std: float) -> Tensor:
    method = ud.RecurrentInference(ensemble=2)
    return method.restore(ud.Measurement(y, ud.Identity(), ud.Gaussian(std))).x


def total_variation(y: Tensor, std: float) -> Tensor:
    return ud.Variational().restore(ud.Measurement(y, ud.Identity(), ud.Gaussian(std))).x


PEERS: dict[str, tuple[str, str, Callable[[Path], Denoiser]]] = {
    "CDnCNN-S 15": ("color", "CDnCNN_S_15.mat", dncnn),
    "CDnCNN-S 25": ("color", "CDnCNN_S_25.mat", dncnn),
    "CDnCNN-S 50": ("color", "CDnCNN_S_50.mat", dncnn),
    "CDnCNN-B": ("color", "GD_Color_Blind.mat", dncnn),
    "FDnCNN": ("color", "FDnCNN_color.mat", fdncnn),
    "FDnCNN-clip": ("color", "FDnCNN_Clip_color.mat", fdncnn),
    "FFDNet": ("color", "FFDNet_color.mat", ffdnet),
    "FFDNet-clip": ("color", "FFDNet_Clip_color.mat", ffdnet),
    "DnCNN-B": ("gray", "GD_Gray_Blind.mat", dncnn),
    "FFDNet gray": ("gray", "FFDNet_gray.mat", ffdnet),
    "bias-free U-Net": ("gray", "bfunet_0-55.pt", bias_free_unet),
}


def bm3d(y: Tensor, std: float) -> Tensor:
    """The package of its authors."""
    import bm3d as package

    pixels = y[0].permute(1, 2, 0).numpy()
    restore = package.bm3d if pixels.shape[2] == 1 else package.bm3d_rgb
    found = torch.from_numpy(restore(pixels, std)).to(y)
    return found.reshape(y.shape[2], y.shape[3], -1).permute(2, 0, 1)[None]


def competitors(folder: Path, kind: str, values: str, std: int) -> dict[str, Denoiser]:
    """Ours and the peers that are meant for a setting."""
    found: dict[str, Denoiser] = {
        OURS: ours,
        f"{OURS}, mean of 2": ensemble,
        "undegrade variational": total_variation,
    }
    for name, (colors, file, load) in PEERS.items():
        other_level = name.startswith("CDnCNN-S") and not name.endswith(f" {std}")
        clipped = name.endswith("-clip") and values == "float"
        if colors == kind and (folder / file).exists() and not other_level and not clipped:
            found[name] = load(folder / file)
    return found


@torch.no_grad()
def timed(denoise: Denoiser, y: Tensor, std: float, x: Tensor) -> dict[str, float]:
    """PSNR and seconds."""
    began = time.perf_counter()
    restored = denoise(y, std)
    seconds = time.perf_counter() - began
    return {"psnr": table.score(restored, x), "seconds": seconds}


def rows(
    methods: dict[str, Denoiser], paths: list[tuple[int, Path]], setting: tuple[str, str, int]
) -> list[dict]:
    """One row per method, for the pictures of one folder and one kind of noise."""
    kind, values, std = setting
    known, tag = table.Known("peers"), table.version([SHIPPED[kind]])
    found = {name: list[dict[str, float]]() for name in methods}
    noisy = list[float]()
    for i, path in paths:
        x, y = measured(path, i, kind, values, std)
        noisy.append(table.score(y, x))
        for name, denoise in methods.items():
            key = f"{path} {kind} {values} {std} {name} {tag * name.startswith(OURS)}"
            job = partial(timed, denoise, y, std / 255, x)
            found[name].append(known.of(key, job))
    return [
        {
            "images": paths[0][1].parent.name,
            "pictures": kind,
            "noise": values,
            "std": std,
            "count": len(paths),
            "method": name,
            "noisy": table.mean(noisy),
            "psnr": table.mean([each["psnr"] for each in found[name]]),
            "least gain": round(
                min(each["psnr"] - y for each, y in zip(found[name], noisy, strict=True)), 2
            ),
            "seconds": round(statistics.median(each["seconds"] for each in found[name]), 3),
        }
        for name in methods
    ]


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """PSNR against seconds for float noise of σ = 25, of methods within a decibel of the best."""
    from matplotlib import pyplot
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    figure, panels = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for panel, kind in zip(panels, ("color", "gray"), strict=True):
        here = [r for r in rows if (r["pictures"], r["noise"], r["std"]) == (kind, "float", 25)]
        top = max(row["psnr"] for row in here)
        here = [row for row in here if row["psnr"] > top - 1]
        here.sort(key=lambda row: (row["seconds"], -row["psnr"]))
        best = [row for i, row in enumerate(here) if all(row["psnr"] > r["psnr"] for r in here[:i])]
        panel.step(
            [row["seconds"] for row in best],
            [row["psnr"] for row in best],
            where="post",
            color="0.8",
            zorder=0,
        )
        for i, row in enumerate(here):
            marker = "*" if row["method"].startswith(OURS) else "o"
            panel.scatter(
                row["seconds"], row["psnr"], s=60, marker=marker, c=f"C{i}", label=row["method"]
            )
        panel.set(xscale="log", xlabel="seconds, 321×481", ylabel="PSNR, dB", title=kind)
        panel.set_xticks([0.2, 0.5, 1, 2, 5], minor=False)
        panel.xaxis.set_major_formatter(ScalarFormatter())
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, fontsize=8)
        panel.margins(x=0.25, y=0.12)
    figure.savefig(path, metadata={"Date": None})


def fitting(folder: Path, every: int, kind: str) -> list[tuple[int, Path]]:
    """The pictures of a folder that can be seen so: gray ones are none in color."""
    paths = table.pictures(folder, every)
    return [(i, p) for i, p in paths if kind == "gray" or ud.read_image(p).shape[1] == 3]


def main() -> None:
    """Run, print, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=table.DATA / "peers")
    parser.add_argument("--images", type=Path, nargs="+", default=[CBSD68])
    parser.add_argument("--every", type=int, default=1, help="use every n-th picture")
    parser.add_argument("--bm3d", action="store_true", help="BM3D too, where σ = 25")
    parser.add_argument("--pictures", nargs="+", default=["color", "gray"])
    parser.add_argument("--std", type=int, nargs="+", help="levels of float noise, in place of all")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = SETTINGS
    if options.std:
        settings = [(kind, "float", std) for kind in ("color", "gray") for std in options.std]
    found = list[dict]()
    for folder, kind in product(options.images, options.pictures):
        paths = fitting(folder, options.every, kind)
        for setting in (s for s in settings if paths and s[0] == kind):
            methods = competitors(options.weights, *setting)
            if options.bm3d and setting[1:] == ("float", 25):
                methods["BM3D"] = bm3d
            found += rows(methods, paths, setting)
            print(folder.name, setting, flush=True)
    command, name = f"python -m benchmarks.peers --every {options.every}", "peers"
    if options.bm3d:
        command += " --bm3d"
    if options.images != [CBSD68]:
        command += f" --images {' '.join(map(str, options.images))}"
        name += f"_{'_'.join(folder.name for folder in options.images)}"
    if set(options.pictures) < {kind for kind, _, _ in SETTINGS}:
        command += f" --pictures {' '.join(options.pictures)}"
        name += f"_{'_'.join(options.pictures)}"
    if options.std:
        command += f" --std {' '.join(map(str, options.std))}"
        name += f"_std_{'_'.join(map(str, options.std))}"
    table.write(name, command, found)
    if name == "peers":
        draw(found, table.RESULTS / "peers.svg")


if __name__ == "__main__":
    main()
