"""`undegrade synthesize`: what it writes, and what it says to what is no label map."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.end_to_end.conftest import Run
from undegrade.files.labels import read_labels
from undegrade.files.picture import read_image
from undegrade.restorers.segmentation_file import SHIPPED


def _map(path: Path, value: int, side: int = 32) -> None:
    labels = torch.full((side, side + 8), value, dtype=torch.uint8)
    labels[: side // 2] = min(value, 0) if value < 11 else value
    Image.fromarray(labels.numpy()).save(path)


def test_a_picture_its_segmentation_and_a_page(folder: Path, run: Run) -> None:
    _map(folder / "street.png", 3)
    status, out, err = run(f"synthesize street.png -o made --stages 1 --other {SHIPPED}")
    assert (status, err) == (0, "")
    said = [line for line in out.splitlines() if line.endswith("% of the pixels as asked")]
    assert [line.partition(":")[0] for line in said] == ["the network", "a second network"]
    assert said[0].split()[-7] == said[1].split()[-7]  # it is the same network
    x = read_image(folder / "made" / "street-synthesized.png")
    again = read_labels(folder / "made" / "street-segmentation.png")
    assert x.shape == (1, 3, 32, 40)
    assert (again[0, :8] == 0).float().mean() > 0.8
    page = (folder / "made" / "street.html").read_text("utf-8")
    assert page.count("<img") == 3
    assert "cross-entropy of a pixel" in page


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("synthesize missing.png", "missing.png"),
        ("synthesize void.png", "no pixel of void.png has the number of a class, 0 to 10"),
        ("synthesize small.png", "16 rows and columns or more"),
        ("synthesize a.png", "the numbers of classes; a.png has the mode RGB"),
        ("synthesize street.png --weights street.png", "not a readable file of weights"),
        ("synthesize street.png --stages 0", "stages"),
        ("synthesize", "LABELS"),
    ],
)
def test_bad_input_is_one_sentence(folder: Path, run: Run, line: str, words: str) -> None:
    _map(folder / "void.png", 11)
    _map(folder / "small.png", 3, side=8)
    _map(folder / "street.png", 3)
    status, out, err = run(f"{line} -o made")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert words in err
    assert not (folder / "made").exists()
