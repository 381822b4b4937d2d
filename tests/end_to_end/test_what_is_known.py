"""What people say of a picture's degradation, and what is said of what they gave."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.end_to_end.conftest import Run
from undegrade.degradations.description import read_description
from undegrade.files.picture import read_image, write_image
from undegrade.kernels.formulas import disk_psf
from undegrade.metrics.distortion import psnr

BUTTERFLY = Path(__file__).parents[3] / "shared" / "data" / "set5" / "butterfly.png"
QUICK = "--output out --method quadratic"


@pytest.mark.usefixtures("folder")
def test_flags_amend_the_description_beside_the_picture(run: Run) -> None:
    run("degrade a.png y.png --blur disk:2 --noise gaussian:0.02 --seed 0")
    status, out, _ = run("restore y.png --noise gaussian:0.05", QUICK)
    assert status == 0
    assert "y.png.json is amended by --noise gaussian:0.05" in out
    (entry,) = json.loads(Path("out/settings.json").read_text())["pictures"]
    assert entry["known"] == "y.png.json with --noise gaussian:0.05"
    assert entry["degradation"]["noise"]["std"] == 0.05
    assert entry["degradation"]["blur"]["shape"] == [5, 5]


@pytest.mark.usefixtures("folder")
def test_flags_amend_a_description_that_is_given(run: Run) -> None:
    run("degrade a.png y.png --blur disk:2 --boundary periodic --seed 0")
    run("restore y.png --degradation y.png.json --blur gaussian:1", QUICK)
    (entry,) = json.loads(Path("out/settings.json").read_text())["pictures"]
    assert entry["degradation"]["blur"]["shape"] == [7, 7]
    assert entry["degradation"]["blur"]["boundary"] == "periodic"  # which nobody amended
    run("restore y.png --boundary valid --downsample 2", QUICK)
    known = json.loads(Path("out/settings.json").read_text())["pictures"][-1]["degradation"]
    assert known["picture"] == {"channels": 3, "height": 52, "width": 64}
    assert known["blur"]["boundary"] == "valid"
    assert read_description("y.png.json").shape == (3, 24, 30)


@pytest.mark.usefixtures("folder")
@pytest.mark.skipif(not BUTTERFLY.exists(), reason="needs the pictures in shared/data")
def test_a_reduced_picture_is_enlarged(run: Run) -> None:
    x = read_image(BUTTERFLY)[..., 40:136, 60:180]
    write_image("x.png", x)
    for kind, filter in (("bicubic", Image.Resampling.BICUBIC), ("area", Image.Resampling.BOX)):
        Image.open("x.png").resize((60, 48), filter).save("y.png")
        Image.open("y.png").resize((120, 96), Image.Resampling.LANCZOS).save("lanczos.png")
        words = "" if kind == "bicubic" else "--blur area"
        status, out, _ = run("restore y.png --enlarge 2 --output out --method learned", words)
        assert status == 0
        assert f"assumed: reduced by 2 ({kind})" in out
        gain = psnr(read_image("out/y-learned.png"), x) - psnr(read_image("lanczos.png"), x)
        assert float(gain) > 1


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--enlarge 2 --downsample 3", "--enlarge 2 means --downsample 2, got 3"),
        ("--enlarge 7", "downsample must be 2, 3 or 4, got 7"),
        ("--blur area", "that of a reduction: give --downsample too"),
        ("--mask a.png --grow-mask -1", "--grow-mask is a number of pixels"),
    ],
)
def test_what_makes_no_sense_is_refused(run: Run, flags: str, message: str) -> None:
    status, _, err = run("restore a.png", flags, QUICK)
    assert status == 2
    assert message in err


@pytest.mark.usefixtures("folder")
def test_decimation_alone_is_told_as_what_it_is(run: Run) -> None:
    assert "one pixel of every 2×2 was kept" in run("restore a.png --downsample 2", QUICK)[1]


@pytest.mark.usefixtures("folder")
def test_a_mask_and_a_kernel_as_people_have_them(run: Run) -> None:
    kernel = np.fft.ifftshift(np.pad(disk_psf(2.0).numpy(), ((6, 5), (6, 5))))
    np.save("k.npy", kernel)
    layer = np.zeros((24, 30, 4), np.uint8)
    layer[10:12, 5:20] = 255
    Image.fromarray(layer).save("m.png")
    status, out, _ = run("restore a.png --blur k.npy --mask m.png --noise gaussian:0.01", QUICK)
    assert status == 0
    assert "kernel k.npy: it is centered in its corner: moved to the middle" in out
    assert "what is painted on it is lost" in out
    degradation = json.loads(Path("out/settings.json").read_text())["pictures"][0]["degradation"]
    assert degradation["blur"]["shape"] == [5, 5]


@pytest.mark.usefixtures("folder")
def test_a_kernel_that_is_not_there_is_not_corrected_in_silence(run: Run) -> None:
    run("degrade a.png y.png --noise gaussian:0.05 --seed 0")
    status, out, _ = run("restore y.png -o out --method analytic-deep-prior")
    assert status == 0
    assert "y.png: variational; there is no kernel to correct" in out
    assert Path("out/y-variational.png").exists()
    assert not Path("out/y-analytic-deep-prior.png").exists()
