"""Pictures that an editor reduced, enlarged again: `python -m benchmarks.enlarging`.

Five pictures of Set5 and every twelfth of CBSD68, at most 240 pixels a side, reduced by Pillow with
antialiased bicubic interpolation or to means over blocks, in 8 bits; PSNR over colors, without a
frame as wide as the factor.
"""

import numpy as np
import torch
from PIL import Image

import undegrade as ud
from benchmarks.table import Row, mean, pictures, write

_SIDE = 240
_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "area": Image.Resampling.BOX}


def as_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255


def gains(kind: str, factor: int) -> Row:
    """Mean PSNR by Lanczos interpolation and by two methods with nothing chosen."""
    scores = dict[str, list[float]]()
    for _, path in [*pictures("set5"), *pictures("cbsd68", 12)]:
        with Image.open(path) as file:
            whole = file.convert("RGB")
        width, height = (min(n, _SIDE) // factor * factor for n in whole.size)
        whole = whole.crop((0, 0, width, height))
        small = whole.resize((width // factor, height // factor), _FILTERS[kind])
        blur = ud.Blur(ud.reduction_psf(kind, factor), "symmetric")
        measurement = ud.Measurement(as_tensor(small), ud.Downsample(factor) @ blur)
        found = {
            "Lanczos": as_tensor(small.resize(whole.size, Image.Resampling.LANCZOS)),
            "variational": ud.Variational().restore(measurement).x,
            "learned": ud.RecurrentInference().restore(measurement).x,
        }
        inner = slice(factor, -factor)
        for name, x in found.items():
            value = ud.psnr(x[..., inner, inner], as_tensor(whole)[..., inner, inner])
            scores.setdefault(name, []).append(float(value))
    return {"reduced": f"{kind} ×{factor}"} | {name: mean(s) for name, s in scores.items()}


def main() -> None:
    rows = [gains(kind, factor) for kind in _FILTERS for factor in (2, 3, 4)]
    write("enlarging", "python -m benchmarks.enlarging", rows)


if __name__ == "__main__":
    main()
