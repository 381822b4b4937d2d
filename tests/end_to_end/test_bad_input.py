"""Bad input: one clear line, exit status 2, and nothing written."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from tests.end_to_end.conftest import Run, scene
from undegrade.files.picture import write_image

FAST = "--method variational --iterations 2 --weight 20"


def _content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _refused(folder: Path, run: Run, line: str, words: str) -> None:
    before = _content(folder)
    status, out, err = run(line)
    assert (status, out) == (2, "")
    assert err.startswith("undegrade: ")
    assert err.count("\n") == 1
    assert words in err
    assert _content(folder) == before
    assert not (folder / "out").exists()


@pytest.fixture(params=["degrade {} y.png --noise gaussian:0.1", "restore {} --output out"])
def line(request: pytest.FixtureRequest) -> str:
    """A command that reads a picture."""
    return request.param


def test_a_missing_file(folder: Path, run: Run, line: str) -> None:
    _refused(folder, run, line.format("missing.png"), "there is no file missing.png")


def test_an_empty_file(folder: Path, run: Run, line: str) -> None:
    (folder / "empty.png").touch()
    _refused(folder, run, line.format("empty.png"), "empty.png is empty")


def test_a_truncated_file(folder: Path, run: Run, line: str) -> None:
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:-60])
    _refused(folder, run, line.format("cut.png"), "cut.png cannot be read as a picture")


def test_a_file_that_is_no_picture(folder: Path, run: Run, line: str) -> None:
    (folder / "words.png").write_text("not a picture at all, only words")
    _refused(folder, run, line.format("words.png"), "words.png is not a picture")


def test_an_image_bomb(folder: Path, run: Run, line: str) -> None:
    Image.new("1", (30_000, 30_000)).save(folder / "bomb.png")
    _refused(folder, run, line.format("bomb.png"), "bomb.png is too large")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_pixels_that_are_not_finite(folder: Path, run: Run, line: str, value: float) -> None:
    tifffile.imwrite(folder / "bad.tif", np.full((5, 6), value, np.float32))
    _refused(folder, run, line.format("bad.tif"), "not finite")


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (np.zeros((4, 4)), "all black"),
        (np.full((31, 31), 1 / 961), "larger than the image of 24×30"),
        (np.zeros((0, 0)), "k.npy"),
        (np.array([[1.0, -2.0, 0.5]]), "a kernel has a positive sum"),
        (np.full((3, 3), np.nan), "k.npy"),
        (np.array(["a", "b"]), "k.npy"),
    ],
)
def test_an_impossible_kernel(folder: Path, run: Run, kernel: np.ndarray, words: str) -> None:
    np.save(folder / "k.npy", kernel)
    _refused(folder, run, "degrade a.png y.png --blur k.npy", words)


def test_a_kernel_file_of_objects(folder: Path, run: Run) -> None:
    """A pickle in disguise is not run."""
    np.save(folder / "k.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    _refused(folder, run, "degrade a.png y.png --blur k.npy", "k.npy")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--blur motion:15", "motion:LENGTH:ANGLE"),
        ("--blur wobble:3", "gaussian:STD"),
        ("--blur disc:3", "did you mean disk?"),
        ("--blur unknown", "estimated, as estimate:disk"),
        ("--blur", "--blur needs a value"),
        ("--blur gauss:1", "did you mean gaussian?"),
        ("--blur unknown", "a blur can be undone where its kernel is known"),
        ("--noise gausian:0.1", "did you mean gaussian?"),
        ("--downsample x2", "did you mean 2?"),
        ("--blur gaussian:-1", "-1.0"),
        ("--blur disk:0", "positive"),
        ("--blur missing.npy", "missing.npy"),
        ("--noise gaussian:-0.1", "-0.1"),
        ("--noise gaussian:0", "0"),
        ("--noise gaussian:nan", "gaussian:nan"),
        ("--noise poisson:-3", "-3"),
        ("--noise salt-and-pepper:1.5", "1.5"),
        ("--noise uniform:0.1", "poisson:PEAK"),
        ("--mask 1.2", "1.2"),
        ("--mask -0.1", "-0.1"),
        ("--mask missing.png", "missing.png"),
        ("--downsample 5", "2, 3 or 4"),
        ("--downsample x", "'x'"),
        ("--boundary mirror", "mirror"),
        ("--seed 1.5", "1.5"),
        ("--blurr gaussian:1", "--blur"),
        ("--downsample 4", "multiples of 4"),
    ],
)
def test_impossible_flags(folder: Path, run: Run, flags: str, words: str) -> None:
    _refused(folder, run, f"degrade a.png y.png {flags}", words)


def test_an_option_in_the_place_of_the_second_picture(folder: Path, run: Run) -> None:
    _refused(folder, run, "degrade a.png --output y.png", "output is missing")


def test_a_size_that_is_not_divisible(folder: Path, run: Run) -> None:
    write_image("odd.png", scene(21, 20))
    _refused(folder, run, "degrade odd.png y.png --downsample 2", "multiples of 2")


def test_random_things_cannot_be_known_from_flags(folder: Path, run: Run) -> None:
    _refused(folder, run, "restore a.png --output out --mask 0.5", "random")
    _refused(folder, run, "restore a.png --output out --blur shake:5", "random")


def test_a_description_of_another_picture(folder: Path, run: Run) -> None:
    run("degrade a.png y.png --noise gaussian:0.1")
    write_image("b.png", scene(20, 30))
    write_image("g.png", scene(24, 30, 1))
    description = "--output out --degradation y.png.json"
    _refused(folder, run, f"restore b.png {description}", "24×30")
    _refused(folder, run, f"restore g.png {description}", "3 channel(s)")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"format": "undegrade degradation", "version": 1}', "null", "\x80"],
)
def test_a_description_that_is_none(folder: Path, run: Run, text: str) -> None:
    (folder / "bad.json").write_text(text, encoding="latin-1")
    line = "restore a.png --output out --degradation bad.json"
    _refused(folder, run, line, "bad.json is not a description")
    (folder / "a.png.json").write_text(text, encoding="latin-1")
    _refused(folder, run, "restore a.png --output out", "a.png.json is not a description")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("blur", {"boundary": "zero", "shape": [2, 2], "values": [0.25] * 4}, "odd"),
        ("blur", {"boundary": "zero", "shape": [3, 3], "values": [0.25] * 9}, "sums"),
        ("blur", {"boundary": "zero", "shape": [3, 3], "values": [0.25]}, "values"),
        ("noise", {"kind": "gaussian", "std": -1.0}, "positive"),
        ("noise", {"kind": "gaussian", "std": "loud"}, "number"),
        ("downsample", {"factor": 7}, "7"),
        ("mask", {"shape": [24, 30], "bits": "!!"}, "base64"),
        ("picture", {"channels": 3, "height": -1, "width": 4}, "pixel"),
    ],
)
def test_a_description_that_was_tampered_with(
    folder: Path, run: Run, key: str, value: object, words: str
) -> None:
    run("degrade a.png y.png --noise gaussian:0.1")
    description = json.loads((folder / "y.png.json").read_text())
    (folder / "y.png.json").write_text(json.dumps({**description, key: value}))
    _refused(folder, run, "restore y.png --output out", words)


def test_unknown_names(folder: Path, run: Run) -> None:
    line = "restore a.png --output out --method"
    _refused(folder, run, f"{line} variatoinal", "did you mean variational?")
    _refused(folder, run, f"{line} zzz", "there are")
    _refused(folder, run, "restroe a.png", "did you mean restore?")
    _refused(folder, run, "restore a.png --ouput out", "--output")
    variational = "restore a.png --output out --method variational"
    _refused(folder, run, f"{variational} --wieght 3", "--weight")
    _refused(folder, run, f"{variational} --weight much", "much")
    _refused(
        folder, run, "restore a.png --output out --weight 3", "a setting of variational, quadr"
    )
    _refused(folder, run, f"{variational} --margin 3", "a setting of wiener")
    _refused(folder, run, f"{variational} wiener --weight 3", "write variational,...")
    _refused(folder, run, f"{variational},wieght=3 wiener", "--weight")
    _refused(folder, run, "restore a.png --output out --device gpu", "the device 'gpu'")
    _refused(folder, run, "restore a.png --output out --device cuda:77", "the device 'cuda:77'")


def test_missing_arguments(folder: Path, run: Run) -> None:
    _refused(folder, run, "restore --output out", "needs a picture")
    _refused(folder, run, "degrade a.png", "OUT")


def test_a_folder_without_pictures(folder: Path, run: Run) -> None:
    (folder / "none").mkdir()
    _refused(folder, run, "restore none --output out", "no picture in none")


def test_a_reference_that_does_not_fit(folder: Path, run: Run) -> None:
    write_image("b.png", scene(20, 30))
    _refused(folder, run, "restore a.png --output out --reference b.png", "the reference b.png")
    _refused(folder, run, "restore a.png --output out --reference c.png", "no file c.png")


def test_the_input_is_never_overwritten(folder: Path, run: Run) -> None:
    _refused(folder, run, "degrade a.png a.png --noise gaussian:0.1", "overwrite the input")
    (folder / "link.png").symlink_to("a.png")
    _refused(folder, run, "degrade a.png link.png --noise gaussian:0.1", "overwrite the input")
    write_image("x.png", scene(8, 8))
    write_image("x-wiener.png", scene(8, 8))
    line = "restore x.png x-wiener.png --output . --method wiener"
    _refused(folder, run, line, "overwrite the input")


def test_results_that_would_fall_together(folder: Path, run: Run) -> None:
    (folder / "other").mkdir()
    write_image("other/a.png", scene(8, 8))
    line = "restore a.png other/a.png --output out --method wiener"
    _refused(folder, run, line, "would both become out/a-wiener.png")


def test_a_folder_that_has_other_settings(folder: Path, run: Run) -> None:
    (folder / "settings.json").write_text('{"mine": 1}')
    _refused(folder, run, "restore a.png -o .", "not of `undegrade restore`: give another --output")


def test_a_folder_of_results_with_the_name_of_a_picture(folder: Path, run: Run) -> None:
    _refused(folder, run, "restore a.png -o sharp.PNG", "expected a folder for --output")
    (folder / "old.png").mkdir()
    assert run("restore a.png --method wiener -o old.png")[0] == 0


@pytest.mark.parametrize("target", ["y.xyz", "y", "missing/y.png.gif"])
def test_an_output_of_no_known_format(folder: Path, run: Run, target: str) -> None:
    _refused(
        folder, run, f"degrade a.png {target} --noise gaussian:0.1", "name that ends in one of"
    )


def test_an_output_that_cannot_be_written(folder: Path, run: Run) -> None:
    (folder / "file").write_text("in the way")
    _refused(folder, run, "degrade a.png file/y.png --noise gaussian:0.1", "cannot write to file")
    _refused(folder, run, f"restore a.png --output file {FAST}", "cannot write to file")
    _refused(folder, run, "degrade a.png /proc/y.png --noise gaussian:0.1", "cannot write to /proc")


def test_alpha_that_the_output_cannot_hold(folder: Path, run: Run) -> None:
    Image.new("RGBA", (9, 9)).save("alpha.png")
    _refused(folder, run, "degrade alpha.png y.jpg --noise gaussian:0.1", "no alpha channel")


def test_a_bad_picture_does_not_stop_the_others(folder: Path, run: Run) -> None:
    (folder / "bad.png").touch()
    status, out, err = run("restore bad.png a.png --output out", FAST)
    assert status == 2
    assert err == "undegrade: bad.png is empty\n"
    assert "out/a-variational.png" in out
    assert "bad" not in " ".join(_content(folder / "out"))
    assert "a-variational.png" in (folder / "out" / "report.html").read_text()


def test_a_name_that_lies_about_the_format_does_not_stop_the_others(folder: Path, run: Run) -> None:
    """A picture with transparency that is called .jpg can be read, and not stored as it is."""
    Image.new("RGBA", (24, 30)).save(folder / "bad.jpg", format="PNG")
    status, out, err = run("restore bad.jpg a.png --output out", FAST)
    assert status == 2
    assert err.startswith("undegrade: ")
    assert "bad.jpg" in err
    assert "out/a-variational.png" in out
    assert (folder / "out" / "report.html").exists()


def test_a_benchmark_that_makes_no_sense(folder: Path, run: Run) -> None:
    line = "benchmark --images {} --degradations {} --methods {} --output out"
    _refused(folder, run, line.format("none", "noise=gaussian:0.1", "wiener"), "no folder none")
    _refused(folder, run, line.format(".", "noise=gaussian:-1", "variational"), "positive")
    _refused(folder, run, line.format(".", "noise=gaussian:1", "wienr"), "did you mean wiener?")
    _refused(folder, run, line.format(".", "nois=gaussian:1", "wiener"), "--noise")
    _refused(folder, run, line.format(".", "noise:gaussian:0.1", "wiener"), "expected FLAG=VALUE")


def test_a_training_without_pictures(folder: Path, run: Run) -> None:
    (folder / "none").mkdir()
    _refused(folder, run, "train --images none --output out", "no pictures in none")
    _refused(folder, run, "train --images missing --output out", "missing")


def _limited(folder: Path, line: str, size: int) -> tuple[int, str]:
    """The command in a process that may not write files larger than `size`."""
    ran = subprocess.run(
        [sys.executable, "-m", "undegrade", *line.split()],
        cwd=folder, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )  # fmt: skip
    return ran.returncode, ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "line", ["degrade a.png y.png --noise gaussian:0.1", f"restore a.png --output out {FAST}"]
)
def test_a_write_that_fails(folder: Path, line: str) -> None:
    before = _content(folder)
    status, err = _limited(folder, line, 300)
    assert status == 2
    assert err.startswith("undegrade: cannot write to ")
    assert err.count("\n") == 1
    assert _content(folder) == before
    assert not (folder / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk(folder: Path) -> None:
    """A disk of 16 KB: the first picture fits, and what does not fit leaves no trace."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)],
        check=False, capture_output=True,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("this machine does not let root mount")
    try:
        noise = torch.rand(1, 3, 90, 90, generator=torch.Generator().manual_seed(0))
        write_image(folder / "large.png", noise)
        command = [sys.executable, "-m", "undegrade"]
        for line in [f"restore large.png --output disk {FAST}", "degrade large.png disk/y.png"]:
            ran = subprocess.run(
                [*command, *line.split()], cwd=folder, capture_output=True, text=True, check=False
            )
            assert ran.returncode == 2
            assert ran.stderr == "undegrade: cannot write to disk: No space left on device\n"
            assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_the_sentence_is_the_same_where_boxes_cannot_be_printed(folder: Path) -> None:
    plain = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    for environment in (plain, os.environ | {"PYTHONIOENCODING": "utf-8"}):
        command = [sys.executable, "-m", "undegrade", "restore", "a.png", "--ouput", "o"]
        ended = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 2
        said = "Unrecognized options: --ouput, o; perhaps you meant --output (see restore --help)"
        assert ended.stderr == f"undegrade: {said}\n"
