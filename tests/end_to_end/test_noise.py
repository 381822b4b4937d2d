"""What the command line says of noise, and does about it."""

from pathlib import Path

import pytest

from tests.end_to_end.conftest import Run, scene
from undegrade.files.picture import read_image, write_image


def roughness(name: str) -> float:
    x = read_image(name)
    return float(x.diff(dim=2).abs().mean() + x.diff(dim=3).abs().mean())


@pytest.mark.usefixtures("folder")
def test_the_level_that_was_found_is_said_only_where_none_was_given(run: Run) -> None:
    run("degrade a.png y.png --noise gaussian:0.1 --seed 0")
    assert "noise found" not in run("restore y.png --output out --method wiener")[1]
    Path("y.png.json").unlink()
    out = run("restore y.png --output out --method wiener")[1]
    assert "  noise found: Gaussian, std 0.0" in out or "  noise found: Gaussian, std 0.1" in out


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("method", ["variational", "quadratic", "wiener", "learned"])
def test_strength_smooths_more_with_every_method_that_goes_by_the_noise(
    run: Run, method: str
) -> None:
    run("degrade a.png y.png --noise gaussian:0.05 --seed 0")
    for strength in ("0.5", "2"):
        flags = f"--output out{strength} --method {method} --noise-strength {strength}"
        assert run(f"restore y.png {flags}")[0] == 0
    assert roughness(f"out2/y-{method}.png") < 0.95 * roughness(f"out0.5/y-{method}.png")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("strength", ["0", "-1", "inf", "nan"])
def test_a_strength_that_is_no_factor_is_refused(run: Run, strength: str) -> None:
    status, _, err = run(f"restore a.png --output out --noise-strength={strength}")
    assert status == 2
    assert "--noise-strength is a positive factor" in err


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("call", "told"),
    [("photo.jpg", True), ("photo.png", False), ("photo.jpg --jpeg own", False)],
)
def test_a_jpeg_of_which_nothing_is_said_is_called_one(run: Run, call: str, told: bool) -> None:
    write_image("photo.jpg", scene(24, 32))
    write_image("photo.png", scene(24, 32))
    out = run(f"restore {call} --output out --method variational --iterations 2")[1]
    assert ("a JPEG file: where its blocks" in out) == told


@pytest.mark.usefixtures("folder")
def test_noise_that_is_told_too_high_is_said_beside_the_result(run: Run) -> None:
    run("degrade a.png y.png --noise gaussian:0.05 --seed 0")
    assert "is told" not in run("restore y.png --output out --method wiener")[1]
    out = run("restore y.png --noise gaussian:0.1 --output out --method wiener")[1]
    assert "the noise that is told, std 0.1, is " in out
