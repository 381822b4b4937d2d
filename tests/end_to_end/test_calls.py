"""Every call that the documentation promises works as written."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.end_to_end.conftest import Run, scene
from undegrade.files.picture import (
    Picture,
    read_image,
    read_picture,
    write_image,
    write_picture,
)
from undegrade.metrics.distortion import psnr
from undegrade.restorers import RESTORERS
from undegrade.restorers.weight import Discrepancy

FAST = "--iterations 8 --weight 20"
DEGRADATIONS = [
    "--blur motion:5:30 --boundary replicate --noise gaussian:0.02 --seed 0",
    "--blur gaussian:1.2 --boundary periodic --noise gaussian:0.02",
    "--blur disk:2 --boundary reflect --noise poisson:200",
    "--blur shake:7 --boundary zero --noise gaussian:0.01 --seed 3",
    "--blur gaussian:1 --boundary valid --noise gaussian:0.01",
    "--blur gaussian:1 --downsample 2 --noise gaussian:0.01",
    "--mask 0.5 --noise gaussian:0.02",
    "--noise salt-and-pepper:0.3",
    "--noise gaussian:0.1",
]


@pytest.mark.parametrize("flags", DEGRADATIONS)
def test_degrade_then_restore_with_nothing_repeated(folder: Path, run: Run, flags: str) -> None:
    assert run("degrade a.png y.png", flags)[0] == 0
    status, out, err = run("restore y.png --output out --reference a.png", FAST)
    assert (status, err) == (0, "")
    assert "out/y-restored.png" in out
    assert sorted(p.name for p in (folder / "out").iterdir()) == [
        "report.html", "settings.json", "y-restored.png", "y-trace.csv",
    ]  # fmt: skip
    truth, restored = read_image("a.png"), read_image("out/y-restored.png")
    assert restored.shape == truth.shape
    y = read_image("y.png")
    if y.shape == truth.shape:
        assert psnr(restored, truth) > psnr(y, truth)


def test_the_same_seed_gives_the_same_picture(folder: Path, run: Run) -> None:
    for name, seed in [("p.png", 1), ("q.png", 1), ("r.png", 2)]:
        run(f"degrade a.png {name} --blur shake:5 --mask 0.3 --noise gaussian:0.1 --seed {seed}")
    content = {name: (folder / f"{name}.json").read_bytes() for name in ("p.png", "q.png", "r.png")}
    pixels = {name: (folder / name).read_bytes() for name in content}
    assert content["p.png"] == content["q.png"] != content["r.png"]
    assert pixels["p.png"] == pixels["q.png"] != pixels["r.png"]


def test_what_the_run_leaves(folder: Path, run: Run) -> None:
    run("degrade a.png y.png --blur motion:5:30 --noise gaussian:0.02")
    run("restore y.png --output out --reference a.png", FAST)
    settings = json.loads((folder / "out" / "settings.json").read_text())
    assert settings["settings"]["weight"] == 20.0
    (entry,) = settings["pictures"]
    assert entry["known"] == "y.png.json"
    assert entry["noise"] == "Gaussian, std 0.02"
    with (folder / "out" / "y-trace.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["iteration"]) for row in rows] == list(range(1, entry["iterations"] + 1))
    assert float(rows[-1]["psnr"]) == pytest.approx(entry["psnr"], abs=1e-3)
    page = (folder / "out" / "report.html").read_text()
    for word in (
        "y.png",
        "variational",
        "truth",
        "undegrade restore y.png",
        f"{entry['psnr']:.2f}",
    ):
        assert word in page


def test_the_settings_repeat_the_run(folder: Path, run: Run) -> None:
    run("degrade a.png y.png --noise gaussian:0.1")
    run("restore y.png --output out", FAST)
    before = (folder / "out" / "y-restored.png").read_bytes()
    call = json.loads((folder / "out" / "settings.json").read_text())["command"]
    (folder / "out" / "y-restored.png").unlink()
    assert run(*call.split()[1:])[0] == 0
    assert (folder / "out" / "y-restored.png").read_bytes() == before


def test_flags_come_before_the_description_beside_the_picture(folder: Path, run: Run) -> None:
    run("degrade a.png y.png --noise gaussian:0.1")
    run("restore y.png --output out --noise gaussian:0.05", FAST)
    settings = json.loads((folder / "out" / "settings.json").read_text())
    assert settings["pictures"][0]["known"] == "--noise gaussian:0.05"
    run("degrade a.png z.png --noise gaussian:0.2")
    run("restore y.png --output out --degradation z.png.json", FAST)
    settings = json.loads((folder / "out" / "settings.json").read_text())
    assert settings["pictures"][0]["known"] == "z.png.json"


def test_nothing_said_means_noise_of_an_estimated_level(folder: Path, run: Run) -> None:
    x = scene(64, 64)
    draw = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    write_image("y.png", x + 0.06 * draw)
    assert run("restore y.png --output out", FAST)[0] == 0
    settings = json.loads((folder / "out" / "settings.json").read_text())
    level = float(settings["pictures"][0]["noise"].rpartition(" ")[2])
    assert level == pytest.approx(0.06, rel=0.2)


def test_a_folder_of_pictures(folder: Path, run: Run) -> None:
    (folder / "many").mkdir()
    for k, name in enumerate(["p.png", "q.png"]):
        write_image(f"many/{name}", scene(20 + k, 16))
    assert run("restore many --output out --noise gaussian:0.1 --reference many", FAST)[0] == 0
    names = {p.name for p in (folder / "out").iterdir()}
    assert {"p-restored.png", "q-restored.png", "p-trace.csv", "q-trace.csv"} <= names
    page = (folder / "out" / "report.html").read_text()
    assert page.count('class="case"') == 2


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("method", ["variational", "wiener", "quadratic"])
def test_methods_by_name(run: Run, method: str) -> None:
    run("degrade a.png y.png --blur gaussian:1 --noise gaussian:0.02")
    assert run("restore y.png --output out --method", method)[0] == 0
    truth, restored = read_image("a.png"), read_image("out/y-restored.png")
    assert psnr(restored, truth) > psnr(read_image("y.png"), truth)


@pytest.mark.usefixtures("folder")
def test_a_rule_by_its_name_and_a_weight_that_is_chosen(run: Run) -> None:
    line = "restore a.png --output out --noise gaussian:0.1 --weight auto --rule"
    assert run(line, "discrepancy")[0] == 0
    settings = json.loads(Path("out/settings.json").read_text())["settings"]
    assert (settings["rule"], settings["weight"]) == (str(Discrepancy()), None)
    assert "did you mean discrepancy?" in run(line, "disrepancy")[2]


@pytest.mark.parametrize(
    "method", ["deep-image-prior --loss laplace", "double-overparametrization"]
)
def test_an_untrained_network_and_its_snapshots(folder: Path, run: Run, method: str) -> None:
    settings = "--widths 4 6 --iterations 25 --snapshots 10 --reference a.png"
    line = f"restore a.png --output out --noise gaussian:0.1 {settings} --method {method}"
    assert run(line)[::2] == (0, "")
    written = {path.name for path in (folder / "out").iterdir()}
    assert {"a-restored.png", "a-000010.png", "a-000020.png"} < written
    assert "a-000025.png" not in written
    with Path("out/a-trace.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 25
    assert {"loss", "variance", "psnr"} < set(rows[0])
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    wrong = run(line, "--snapshots -1")
    assert (wrong[0], wrong[2].count("\n")) == (2, 1)
    assert "snapshots" in wrong[2]


def test_the_list_of_methods(run: Run) -> None:
    status, out, _ = run("methods")
    assert status == 0
    for name in RESTORERS:
        assert f"\n{name}: " in f"\n{out}"
    assert "--weight" in out


@pytest.mark.parametrize("method", sorted(RESTORERS))
def test_every_method_becomes_flags(run: Run, method: str) -> None:
    status, out, err = run("restore --help --method", method)
    assert (status, err) == (0, "")
    assert "--output" in out
    assert "--noise" in out


def test_a_benchmark_and_its_resumption(folder: Path, run: Run) -> None:
    (folder / "set").mkdir()
    for k in range(2):
        write_image(f"set/{k}.png", scene(16 + k, 18))
    line = (
        "benchmark --images set --degradations noise=gaussian:0.1 "
        "blur=gaussian:1,noise=gaussian:0.02 --methods variational,weight=20,iterations=5 wiener "
        "--output bench"
    )
    status, out, err = run(line)
    assert (status, err) == (0, "")
    assert out == (folder / "bench" / "means.md").read_text()
    assert out.count("\n") == 2 + 4
    rows = (folder / "bench" / "results.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 2 * 2
    kept = "\n".join(rows[:4]) + "\n"
    (folder / "bench" / "results.csv").write_text(kept)
    assert run(line)[0] == 0
    again = (folder / "bench" / "results.csv").read_text()
    assert again.startswith(kept)
    drop = [",".join(row.split(",")[:-2]) for row in rows]  # seconds differ from run to run
    assert [",".join(row.split(",")[:-2]) for row in again.splitlines()] == drop


@pytest.mark.usefixtures("folder")
def test_sixteen_bits_alpha_and_gray(run: Run) -> None:
    x, alpha = scene(20, 22), torch.rand(1, 1, 20, 22)
    write_image("deep.png", x, dtype="uint16")
    write_picture("deep.png", Picture(x, alpha, read_picture("deep.png").form))
    write_image("gray.tif", scene(20, 22, 1), dtype="float32")
    write_image("photo.jpg", x)
    Image.open("a.png").quantize(30).save("palette.png")
    assert run("restore deep.png gray.tif photo.jpg palette.png --output out", FAST)[0] == 0
    deep, gray = read_picture("out/deep-restored.png"), read_picture("out/gray-restored.tif")
    assert deep.form.dtype == "uint16"
    assert deep.alpha is not None
    torch.testing.assert_close(deep.alpha, alpha, atol=1e-4, rtol=0)
    assert (gray.form.dtype, gray.pixels.shape[1]) == ("float32", 1)
    assert read_picture("out/palette-restored.png").form.palette


@pytest.mark.usefixtures("folder")
def test_a_degraded_picture_is_not_bent_to_a_palette(run: Run) -> None:
    Image.open("a.png").quantize(30).save("palette.png")
    assert run("degrade palette.png y.png --noise gaussian:0.05")[0] == 0
    noise = read_image("y.png") - read_image("palette.png")
    assert noise.std().item() == pytest.approx(0.05, rel=0.1)


@pytest.mark.usefixtures("folder")
def test_one_pixel(run: Run) -> None:
    write_image("dot.png", torch.full((1, 1, 1, 1), 0.4))
    status, _, err = run("restore dot.png --output out --noise gaussian:0.1 --reference dot.png")
    assert (status, err) == (0, "")
    torch.testing.assert_close(
        read_image("out/dot-restored.png"), read_image("dot.png"), atol=0.01, rtol=0
    )


def test_help_and_version(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    for command in ("degrade", "restore", "methods", "benchmark", "train"):
        assert command in out
    assert run("--version")[1].startswith("undegrade 0.")
    assert run()[0] == 2


@pytest.mark.parametrize("command", ["degrade", "restore", "methods", "benchmark", "train"])
def test_help_of_every_command(run: Run, command: str) -> None:
    status, out, err = run(command, "--help")
    assert (status, err) == (0, "")
    assert f"undegrade {command}" in out


@pytest.mark.slow
def test_a_training_and_its_continuation(folder: Path, run: Run) -> None:
    (folder / "photos").mkdir()
    write_image("photos/one.png", scene(40, 40))
    line = (
        "train --images photos --output trained --iterations {} --batch 1 --crops 32 32 "
        "--scales 1.0 design:residual-design --design.steps 2 --design.width 4 --design.blocks 1"
    )
    for iterations in (1, 2):
        status, out, err = run(line.format(iterations))
        assert (status, err) == (0, "")
        assert out.endswith("trained/weights.safetensors\n")
    assert (folder / "trained" / "checkpoint-000000002.pt").exists()


@pytest.mark.slow
def test_the_overview_is_quick() -> None:
    before = os.times()
    subprocess.run([sys.executable, "-m", "undegrade", "--help"], check=True, capture_output=True)
    assert os.times().children_user - before.children_user < 2


@pytest.mark.slow
def test_an_interruption_leaves_what_is_done(folder: Path) -> None:
    """The first picture is done in a moment, the second would take half a minute or more.

    `python -m` ends by the signal itself where Ctrl-C came inside code that was made at run time,
    such as an import that builds classes; a shell shows 128 + 2 = 130 either way.
    """
    write_image("1.png", torch.full((1, 3, 1, 1), 0.5))
    write_image("2.png", scene(2100, 2700))
    line = "restore 1.png 2.png --output out --noise gaussian:0.1 --weight 1 --tolerance 0"
    call = [sys.executable, "-m", "undegrade", *line.split(), "--iterations", "1000000"]
    process = subprocess.Popen(call, cwd=folder, stderr=subprocess.PIPE, text=True)
    began = time.monotonic()
    while not (folder / "out" / "settings.json").exists() and time.monotonic() - began < 300:
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    status = process.returncode
    assert (128 - status if status < 0 else status) == 130
    assert err == "undegrade: interrupted\n"
    assert sorted(p.name for p in (folder / "out").iterdir()) == [
        "1-restored.png", "1-trace.csv", "settings.json",
    ]  # fmt: skip
    assert read_image(folder / "out" / "1-restored.png").shape == (1, 3, 1, 1)
