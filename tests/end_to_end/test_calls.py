"""Every call that the documentation promises works as written."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.end_to_end.conftest import Run, scene
from undegrade.cli.dispatch import COMMANDS
from undegrade.core.measurement import Measurement
from undegrade.estimation.weight import Discrepancy
from undegrade.files.picture import (
    Picture,
    read_image,
    read_picture,
    write_image,
    write_picture,
)
from undegrade.likelihoods.salt_and_pepper import SaltAndPepper
from undegrade.metrics.distortion import psnr
from undegrade.restorers import RESTORERS
from undegrade.restorers.wiener import Wiener

FAST = "--method variational --iterations 8 --weight 20"
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
    "--blur gaussian:1.2 --response srgb --noise gaussian:0.01",
    "--blur disk:2 --saturation --noise sensor:0.001:0.01",
    "--noise gaussian:0.01 --bits 3",
    "--jpeg 20",
]


@pytest.mark.parametrize("flags", DEGRADATIONS)
def test_degrade_then_restore_with_nothing_repeated(folder: Path, run: Run, flags: str) -> None:
    assert run("degrade a.png y.png", flags)[0] == 0
    status, out, err = run("restore y.png --output out --reference a.png", FAST)
    assert (status, err) == (0, "")
    assert "out/y-variational.png" in out
    assert sorted(p.name for p in (folder / "out").iterdir()) == [
        "report.html", "settings.json", "y-variational.png", "y-variational.png.csv",
    ]  # fmt: skip
    truth, restored = read_image("a.png"), read_image("out/y-variational.png")
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
    (entry,) = settings["pictures"]
    assert entry["settings"]["weight"] == entry["chosen"]["weight"] == 20.0
    assert entry["known"] == "y.png.json"
    assert entry["noise"] == "Gaussian, std 0.02"
    with (folder / "out" / "y-variational.png.csv").open() as file:
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
    before = (folder / "out" / "y-variational.png").read_bytes()
    call = json.loads((folder / "out" / "settings.json").read_text())["command"]
    (folder / "out" / "y-variational.png").unlink()
    assert run(*call.split()[1:])[0] == 0
    assert (folder / "out" / "y-variational.png").read_bytes() == before


def test_flags_come_before_the_description_beside_the_picture(folder: Path, run: Run) -> None:
    run("degrade a.png y.png --noise gaussian:0.1")
    run("restore y.png --output out --noise gaussian:0.05", FAST)
    settings = json.loads((folder / "out" / "settings.json").read_text())
    assert settings["pictures"][0]["known"] == "y.png.json with --noise gaussian:0.05"
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


@pytest.mark.usefixtures("folder")
def test_salt_and_pepper_of_which_nothing_is_said_is_found(run: Run) -> None:
    x = scene(64, 64)
    write_image("x.png", x)
    y = SaltAndPepper(0.4).sample(x, torch.Generator().manual_seed(0))
    write_image("y.png", y)
    status, out, _ = run("restore y.png --output out --reference x.png", FAST)
    assert status == 0
    assert "noise found: SaltAndPepper, fraction 0.39" in out
    assert "stick out" not in out
    assert float(out.split(" dB")[0].split()[-1]) > 25


def test_a_folder_of_pictures(folder: Path, run: Run) -> None:
    (folder / "many").mkdir()
    for k, name in enumerate(["p.png", "q.png"]):
        write_image(f"many/{name}", scene(20 + k, 16))
    assert run("restore many --output out --noise gaussian:0.1 --reference many", FAST)[0] == 0
    names = {p.name for p in (folder / "out").iterdir()}
    assert {"p-variational.png", "q-variational.png", "p-variational.png.csv"} <= names
    page = (folder / "out" / "report.html").read_text()
    assert page.count('class="case"') == 2


def _names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_methods_side_by_side_and_runs_that_add(folder: Path, run: Run) -> None:
    run("degrade a.png y.png --blur gaussian:1 --noise gaussian:0.02")
    line = (
        "restore --method wiener variational,weight=20,iterations=5 y.png -o out --reference a.png"
    )
    assert run(line)[0] == 0
    first = (folder / "out/y-wiener.png").read_bytes()
    assert run("restore y.png -o out --method quadratic")[0] == 0
    pictures = {"y-wiener.png", "y-variational,weight=20,iterations=5.png", "y-quadratic.png"}
    traces = {f"{name}.csv" for name in pictures}
    assert _names(folder / "out") == {"report.html", "settings.json", *pictures, *traces}
    assert (folder / "out/y-wiener.png").read_bytes() == first
    entries = json.loads((folder / "out/settings.json").read_text())["pictures"]
    assert {entry["output"] for entry in entries} == pictures
    page = (folder / "out/report.html").read_text()
    assert page.count('class="case"') == 1
    for name in pictures:
        assert f'href="{name.replace(",", "%2C").replace("=", "%3D")}"' in page
    assert "kernel, 7×7" in page


def test_folders_in_folders_and_results_that_are_no_inputs(folder: Path, run: Run) -> None:
    (folder / "many/deep").mkdir(parents=True)
    for name in ("many/p.png", "many/p.jpg", "many/deep/p.png"):
        write_image(name, scene(20, 16))
    expected = {"p-wiener.png", "p-wiener.jpg", "deep/p-wiener.png"}
    expected |= {f"{name}.csv" for name in expected} | {"report.html", "settings.json"}
    line = "restore many --noise gaussian:0.1 --method wiener"
    assert run(line)[0] == 0
    assert _names(folder / "restored") == expected
    before = _names(folder / "many")
    for _ in range(2):
        assert run(line, "--output many")[0] == 0
        assert _names(folder / "many") == before | expected
    assert run("restore many/p.png many/p-wiener.png -o many --noise gaussian:0.1 --method wiener")[
        0
    ] == 0  # fmt: skip
    assert _names(folder / "many") == before | expected


@pytest.mark.usefixtures("folder")
def test_the_method_that_is_chosen_is_told_with_the_reason(run: Run) -> None:
    write_image("g.png", scene(24, 30, 1))
    status, out, err = run("restore a.png g.png -o out --blur gaussian:1 --noise gaussian:0.02")
    assert (status, err) == (0, "")
    assert "a.png: learned; a known linear degradation" in out
    assert "g.png: learned; a known linear degradation" in out
    assert {"out/a-learned.png", "out/g-learned.png"} <= set(out.split())


def test_completion(run: Run, tmp_path: Path) -> None:
    for shell in ("zsh", "fish"):
        status, out, err = run("completion", shell)
        assert (status, err) == (0, "")
        assert "restore" in out
    script = tmp_path / "undegrade.bash"
    script.write_text(run("completion bash")[1])
    for words, expected in [
        (["undegrade", "res"], "restore"),
        (["undegrade", "restore", "--refer"], "--reference"),
        (["undegrade", "restore", "--method", "wie"], "wiener"),
    ]:
        line = (
            f"source {script}; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; "
            "_undegrade; echo ${COMPREPLY[@]}"
        )
        ran = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
        assert ran.stdout.split() == [expected]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("method", ["variational", "wiener", "quadratic"])
def test_methods_by_name(run: Run, method: str) -> None:
    run("degrade a.png y.png --blur gaussian:1 --noise gaussian:0.02")
    assert run("restore y.png --output out --method", method)[0] == 0
    truth, restored = read_image("a.png"), read_image(f"out/y-{method}.png")
    assert psnr(restored, truth) > psnr(read_image("y.png"), truth)


@pytest.mark.usefixtures("folder")
def test_a_rule_by_its_name_and_a_weight_that_is_chosen(run: Run) -> None:
    line = "restore a.png --output out --noise gaussian:0.1 --method variational --weight auto"
    line += " --rule"
    assert run(line, "discrepancy")[0] == 0
    (entry,) = json.loads(Path("out/settings.json").read_text())["pictures"]
    settings = entry["settings"]
    assert entry["chosen"]["weight"] > 0
    assert (settings["rule"], settings["weight"]) == (str(Discrepancy()), None)
    assert "did you mean discrepancy?" in run(line, "disrepancy")[2]


@pytest.mark.parametrize(
    "method", ["deep-image-prior --loss laplace", "double-overparametrization --start noise"]
)
def test_an_untrained_network_and_its_snapshots(folder: Path, run: Run, method: str) -> None:
    settings = "--widths 4 6 --iterations 25 --snapshots 10 --reference a.png"
    line = f"restore a.png --output out --noise gaussian:0.1 {settings} --method {method}"
    assert run(line)[::2] == (0, "")
    written = {path.name for path in (folder / "out").iterdir()}
    result = f"a-{method.partition(' ')[0]}.png"
    assert {result, "a-000010.png", "a-000020.png"} < written
    assert "a-000025.png" not in written
    with Path(f"out/{result}.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["iteration"]) for row in rows] == [*range(1, len(rows) + 1)]
    twice = method.startswith("deep")  # without what is held out, then in whole, no longer
    assert 25 + twice <= len(rows) <= 25 * (1 + twice)
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
    deep, gray = read_picture("out/deep-variational.png"), read_picture("out/gray-variational.tif")
    assert deep.form.dtype == "uint16"
    assert deep.alpha is not None
    torch.testing.assert_close(deep.alpha, alpha, atol=1e-4, rtol=0)
    assert (gray.form.dtype, gray.pixels.shape[1]) == ("float32", 1)
    assert read_picture("out/palette-variational.png").form.palette


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
        read_image("out/dot-learned.png"), read_image("dot.png"), atol=0.01, rtol=0
    )


def test_help_and_version(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    for command in COMMANDS:
        assert command in out
    assert run("--version")[1].startswith("undegrade 0.")
    assert run("-V") == run("--version")
    assert run("help") == run("--help")
    assert run("help restore") == run("restore --help")
    assert run()[0] == 2


@pytest.mark.parametrize("command", COMMANDS)
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
        "--scales 1.0 --architecture residual --architecture.steps 2 "
        "--architecture.cell.width 4 --architecture.cell.blocks 1"
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


def test_an_interruption_leaves_what_is_done(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the second picture is restored."""
    restore = Wiener.restore

    def interrupted(self: Wiener, measurement: Measurement, *, observe: Any = ()) -> object:
        if measurement.y.numel() > 3:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
        return restore(self, measurement, observe=observe)

    monkeypatch.setattr(Wiener, "restore", interrupted)
    write_image("1.png", torch.full((1, 3, 1, 1), 0.5))
    status, out, err = run("restore 1.png a.png -o out --method wiener --noise gaussian:0.1")
    assert (status, err) == (130, "undegrade: interrupted\n")
    assert "out/1-wiener.png" in out
    assert _names(folder / "out") == {"1-wiener.png", "1-wiener.png.csv", "settings.json"}
    assert read_image(folder / "out" / "1-wiener.png").shape == (1, 3, 1, 1)


def test_groups_of_options_are_titled_in_words(run: Run) -> None:
    status, said, _ = run("restore --help --method wiener")
    assert status == 0
    assert "known options" not in said
    assert "settings options" not in said
    lines = [line.strip(" ─╭╮") for line in said.splitlines()]
    assert "what is known of the degradation" in lines
    assert "settings of the method" in lines
