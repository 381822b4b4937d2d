"""Every tutorial runs as it stands, made small, and needs nothing but public names."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = sorted((Path(__file__).parents[2] / "docs" / "tutorials").glob("*.py"))
SMALL = {
    "learn_inside_a_problem.py": ["--size", "24", "--steps", "3"],
    "train_a_rim.py": ["--minutes", "0.01"],
    "remove_gross_corruption.py": ["--iterations", "9", "--size", "48"],
    "night_photograph.py": ["--size", "64"],
    "picture_from_labels.py": ["--stages", "1", "--size", "48"],
}
WRITTEN = {
    "learn_inside_a_problem.py": {"noisy.png", "variation.png", "experts.png"},
    "train_a_rim.py": {"measured.png", "step1.png", "step2.png"},
    "remove_gross_corruption.py": {"corrupted.png", "restored.png", "removed.png"},
    "night_photograph.py": {"blurred.png", "as_numbers.png", "as_lost.png", "at_least.png"},
    "picture_from_labels.py": {"start.png", "alone.png", "synthesized.png"},
}


@pytest.mark.parametrize("script", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_imports_the_front_door_alone(script: Path) -> None:
    assert not re.findall(r"from undegrade|import undegrade\.", script.read_text("utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("script", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_runs(script: Path, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, str(script), *SMALL[script.name], "--output", str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert WRITTEN[script.name] <= {path.name for path in tmp_path.iterdir()}
