"""Pictures whose values are not from 0 to the largest of their type."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from tests.end_to_end.conftest import Run, scene
from undegrade.files.picture import read_image

RNG = np.random.default_rng(0)
X = scene(48, 60)[0].permute(1, 2, 0).numpy()
Y = X + 0.05 * RNG.standard_normal(X.shape)


def save(name: str, values: np.ndarray) -> None:
    tifffile.imwrite(name, values, photometric="rgb")


def error(name: str, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((tifffile.imread(name).astype(float) - truth) ** 2)))


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("method", ["variational", "learned"])
def test_ten_bits_in_a_file_of_sixteen(run: Run, method: str) -> None:
    save("y.tif", (1023 * Y).clip(0, 1023).round().astype(np.uint16))
    save("t.tif", (1023 * X).round().astype(np.uint16))
    flags = f"-o out --method {method} --white 1023 --reference t.tif"
    status, out, _ = run("restore y.tif", flags)
    assert status == 0
    assert error(f"out/y-{method}.tif", 1023 * X) < 0.6 * error("y.tif", 1023 * X)
    assert float(out.split(" dB")[0].split()[-1]) > 29  # scored by the same levels
    (entry,) = json.loads(Path("out/settings.json").read_text())["pictures"]
    assert entry["samples"] == {"type": "uint16", "black": 0.0, "white": 1023.0}


@pytest.mark.usefixtures("folder")
def test_where_white_is_not_said_the_line_asks_for_it(run: Run) -> None:
    save("y.tif", (1023 * Y).clip(0, 1023).round().astype(np.uint16))
    out = run("restore y.tif -o out --method wiener")[1]
    assert "the brightest value is 1023 of 65535" in out
    assert error("out/y-wiener.tif", 1023 * X) < 0.8 * error("y.tif", 1023 * X)


@pytest.mark.usefixtures("folder")
def test_photons_are_counted_by_their_white(run: Run) -> None:
    save("y.tif", RNG.poisson(40 * X).astype(np.uint16))
    assert run("restore y.tif -o out --method variational --white 40 --noise poisson:40")[0] == 0
    assert error("out/y-variational.tif", 40 * X) < 0.5 * error("y.tif", 40 * X)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("noise", ["poisson:40", "gaussian:0.05", "sensor:0.1:0.02"])
def test_noise_above_all_that_the_picture_shows_is_refused(run: Run, noise: str) -> None:
    save("y.tif", RNG.poisson(40 * X).astype(np.uint16))
    status, _, error = run(f"restore y.tif -o out --noise {noise}")
    assert status == 2
    assert "larger than anything that the picture shows" in error
    assert "--white" in error
    assert not Path("out/y-learned.tif").exists()


@pytest.mark.usefixtures("folder")
def test_what_a_float_file_holds_beyond_white_stays(run: Run) -> None:
    save("y.tif", (3 * Y - 0.5).astype(np.float32))
    out = run("restore y.tif -o out --method variational")[1]
    assert "of the values lie outside of black (0) and white (1)" in out
    assert error("out/y-variational.tif", 3 * X - 0.5) < 0.6 * error("y.tif", 3 * X - 0.5)
    assert read_image("out/y-variational.tif").max() > 1.5


@pytest.mark.usefixtures("folder")
def test_a_large_picture_is_read_where_that_is_said(run: Run) -> None:
    status, _, err = run("restore a.png -o out --method wiener --largest 0.0005")
    assert status == 2
    assert "too large" in err
    assert run("restore a.png -o out --method wiener --largest 0.001")[0] == 0


@pytest.mark.parametrize("flag", ["--white=0", "--white=nan", "--largest=0"])
@pytest.mark.usefixtures("folder")
def test_levels_that_mean_nothing_are_refused(run: Run, flag: str) -> None:
    status, _, err = run(f"restore a.png -o out {flag}")
    assert status == 2
    assert len(err.splitlines()) == 1


def test_the_least_noise_goes_by_the_range_of_the_values() -> None:
    from undegrade.likelihoods.rounding import rounding_std_of

    ramp = torch.linspace(0, 1, 4000).reshape(1, 1, 40, 100)
    for bits, white in ((8, 1.0), (10, 1023.0), (8, 1 / 64)):
        levels = (ramp * (2**bits - 1)).round() / (2**bits - 1)
        step = white / (2**bits - 1)
        expected = max(step / 12**0.5, 0.98e-3 * white)
        assert float(rounding_std_of(white * levels)) == pytest.approx(expected, rel=0.02)
