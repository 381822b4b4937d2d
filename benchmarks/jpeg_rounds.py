"""At which sizes of noise the rounds of JPEG restoration should be, with the weights that ship.

    python -m benchmarks.jpeg_rounds

PSNR gained over the file, mean of ten training pictures of BSDS500 (the middles, 160×160), in
brightness and in color, for rounds that begin at `first` times the error of the file and fall by
`ratio`. The test sets have no part in the choice.
"""

import argparse
from collections.abc import Iterator
from itertools import product
from unittest.mock import patch

import torch

import undegrade as ud
from benchmarks import table
from undegrade.degradations.jpeg import Jpeg
from undegrade.metrics.luma import luma
from undegrade.restorers import recurrent_inference
from undegrade.restorers.recurrent_inference import RecurrentInference

PICTURE_STEP = 20  # of the 200 training pictures
QUALITIES = (10, 20, 40)
FIRSTS, RATIOS, ROUNDS = (1.1, 1.3, 1.4, 1.5), (0.65, 0.75), 4
SIDE = 160


def files(
    *, gray: bool, quality: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor, ud.Measurement]]:
    """Scene, decoded file and measurement."""
    for _, path in table.pictures("bsds500/train", PICTURE_STEP):
        whole = ud.read_image(path)
        top, left = ((n - SIDE) // 2 for n in whole.shape[-2:])
        x = (luma(whole) if gray else whole)[..., top : top + SIDE, left : left + SIDE]
        known = ud.Degradation(shape=tuple(x.shape[1:]), jpeg=Jpeg.of_quality(quality))
        y = known.degrade(x, torch.Generator())
        yield x, y, known.measurement(y)


def gains(*, gray: bool, quality: int) -> table.Row:
    """One line of the table."""
    cases, restorer = list(files(gray=gray, quality=quality)), RecurrentInference()
    before = table.mean([table.score(y, x) for x, y, _ in cases], 3)
    row: dict[str, object] = {
        "pictures": "gray" if gray else "color",
        "quality": quality,
        "file": before,
    }
    for ratio, first in product(RATIOS, FIRSTS):
        rounds = tuple(first * ratio**k for k in range(ROUNDS))
        with patch.object(recurrent_inference, "ROUNDS", rounds):
            after = table.mean([table.score(restorer.restore(m).x, x) for x, _, m in cases], 3)
        row[f"{first}, ×{ratio}"] = round(after - before, 3)
    return row


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    rows = []
    for gray, quality in product((True, False), QUALITIES):
        rows.append(gains(gray=gray, quality=quality))
        print(rows[-1], flush=True)
    table.write("jpeg_rounds", "python -m benchmarks.jpeg_rounds", rows)


if __name__ == "__main__":
    main()
