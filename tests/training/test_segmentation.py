"""A segmentation network learns two colors, is kept in a file, and goes on where it stopped."""

from pathlib import Path

import pytest
import torch
from PIL import Image as Picture

from tests.cases import uniform
from undegrade.cli import main
from undegrade.files.labels import labelled_pictures, read_labels
from undegrade.files.picture import write_image
from undegrade.metrics.overlap import accuracy, confusion, mean_overlap
from undegrade.networks.segmentation import SegmentationNetworkSettings
from undegrade.restorers.segmentation_file import load_segmentation, save_segmentation
from undegrade.training.segmentation import SegmentationSettings, train_segmentation, varied

CALL = (
    "train-segmentation --images pictures --output out --classes dark bright --widths 4 4 4 4 "
    "--batch 2 --crop 32 32 --validate pictures"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four pictures whose classes are their brightness; one pixel of each is of no class."""
    monkeypatch.chdir(tmp_path)
    Path("pictures").mkdir()
    for i in range(4):
        labels = torch.zeros(40, 48, dtype=torch.uint8)
        labels[:, 10 + 5 * i :] = 1
        x = 0.2 + 0.6 * labels.float() + 0.02 * uniform(3, 40, 48, seed=i).float()
        labels[0, 0] = 2
        write_image(f"pictures/{i}.png", x[None])
        Picture.fromarray(labels.numpy()).save(f"pictures/{i}_label.png")
    return tmp_path


def test_the_command_trains_and_goes_on(folder, capsys):
    assert main([*CALL.split(), "--iterations", "4", "--save-every", "2", "--seconds", "1e-9"]) == 0
    assert main([*CALL.split(), "--iterations", "4", "--save-every", "2"]) == 0
    assert "overlap" in capsys.readouterr().out
    network = load_segmentation(folder / "out" / "weights.safetensors")
    assert network.settings.classes == ("dark", "bright")
    torch.testing.assert_close(network.colors[:, 0], torch.tensor([0.2, 0.8]), rtol=0.1, atol=0)
    assert (folder / "out" / "curve.csv").read_text().splitlines()[-1].startswith("4,")


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_it_learns_what_is_dark_and_what_is_bright():
    settings = SegmentationSettings(
        images=(Path("pictures"),), output=Path("out"), classes=("dark", "bright"),
        widths=(8, 8, 8, 8), batch=4, crop=(32, 48), iterations=150, average=0.9,
    )  # fmt: skip
    network = load_segmentation(train_segmentation(settings))
    x = torch.full((1, 3, 40, 48), 0.2)
    x[..., 24:] = 0.8
    found = network(x).argmax(1)[0]
    assert (found[8:-8, 4:18] == 0).float().mean() > 0.9
    assert (found[8:-8, 30:44] == 1).float().mean() > 0.9


def test_pictures_and_labels_vary_together():
    labels = (uniform(2, 20, 24) > 0.5).long()
    x = labels[:, None].float().expand(-1, 3, -1, -1)
    large = torch.nn.functional.interpolate(x, scale_factor=8.0)
    near = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    cut, found = varied(large, near, (64, 80), 2, torch.Generator().manual_seed(0))
    assert cut.shape == (2, 3, 64, 80)
    assert found.shape == (2, 64, 80)
    bright, dark = cut.mean(1)[found == 1], cut.mean(1)[found == 0]
    assert bright.median() > dark.median() + 0.3
    assert ((bright > 0.4).float().mean()) > 0.9


def test_overlap_counts_what_is_known():
    truth = torch.tensor([[0, 0, 1, 1, 2]])
    found = torch.tensor([[0, 1, 1, 1, 0]])
    counts = confusion(found, truth, 2)
    assert counts.tolist() == [[1, 1], [0, 2]]
    assert mean_overlap(counts) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert accuracy(counts) == pytest.approx(3 / 4)


def test_weights_come_back_in_half_precision(tmp_path):
    network = (
        SegmentationNetworkSettings(classes=("a", "b", "c"), widths=(4, 4, 4, 4)).build().eval()
    )
    save_segmentation(tmp_path / "w.safetensors", network, {})
    x = uniform(2, 3, 33, 21).float()
    scores = load_segmentation(tmp_path / "w.safetensors")(x)
    assert scores.shape == (2, 3, 33, 21)
    torch.testing.assert_close(scores, network(x), rtol=0.02, atol=0.02)
    (tmp_path / "w.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a readable file"):
        load_segmentation(tmp_path / "w.safetensors")


def test_what_is_no_label_map_is_told(tmp_path):
    write_image(tmp_path / "x.png", uniform(1, 3, 8, 8).float())
    with pytest.raises(ValueError, match="label map"):
        labelled_pictures(tmp_path)
    with pytest.raises(ValueError, match="label map"):
        read_labels(tmp_path / "x.png")
