"""The table: which rows, in what order, from which draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from undegrade.cli.demo import Demonstration, demonstrate
from undegrade.core.measurement import Measurement
from undegrade.core.solver import Observer, Result
from undegrade.core.stopping import Status
from undegrade.degradations.flags import DegradationFlags
from undegrade.evaluation.benchmark import Benchmark, as_markdown, means, run_benchmark
from undegrade.files.picture import write_image
from undegrade.files.tables import read_rows, write_rows


@dataclass(frozen=True)
class Unchanged:
    """Gives back what it gets, and remembers it."""

    seen: list[torch.Tensor]

    def restore(self, measurement: Measurement, *, observe: Sequence[Observer] = ()) -> Result[Any]:
        del observe
        self.seen.append(measurement.y)
        y = measurement.y
        return Result(
            y, (Status.EXHAUSTED,), (3,), 0.0, SimpleNamespace(x=y, residual=y[:, 0, 0, 0])
        )


def _benchmark(folder: Path, method: Unchanged, *, eight_bit: bool = False) -> Benchmark:
    for k in range(2):
        write_image(folder / f"{k}.png", torch.full((1, 1, 40, 40), 0.5))
    return Benchmark(
        images=[folder / "0.png", folder / "1.png"],
        degradations={
            "weak": DegradationFlags(noise="gaussian:0.01"),
            "strong": DegradationFlags(noise="gaussian:0.1"),
        },
        methods={"unchanged": method},
        eight_bit=eight_bit,
    )


def test_rows_and_means(tmp_path: Path) -> None:
    rows = run_benchmark(_benchmark(tmp_path, Unchanged([])), tmp_path / "r.csv")
    assert [(r["image"], r["degradation"]) for r in rows] == [
        ("0.png", "weak"), ("1.png", "weak"), ("0.png", "strong"), ("1.png", "strong"),
    ]  # fmt: skip
    assert {r["gain"] for r in rows} == {"0.000"}
    table = means(rows)
    assert float(table[0]["psnr"]) == pytest.approx(40, abs=0.3)
    assert float(table[1]["psnr"]) == pytest.approx(20, abs=0.3)
    expected = (float(rows[0]["psnr"]) + float(rows[1]["psnr"])) / 2
    assert float(table[0]["psnr"]) == pytest.approx(expected, abs=1e-3)


def test_noise_depends_on_name_and_seed_and_on_nothing_else(tmp_path: Path) -> None:
    first, second = Unchanged([]), Unchanged([])
    both = _benchmark(tmp_path, first)
    run_benchmark(both, tmp_path / "r.csv")
    alone = Benchmark(
        images=both.images[1:],
        degradations={"strong": both.degradations["strong"]},
        methods={"m": second},
    )
    run_benchmark(alone, tmp_path / "s.csv")
    assert torch.equal(first.seen[3], second.seen[0])
    assert not torch.equal(first.seen[3], first.seen[2])


def test_eight_bits_are_rounded_and_clipped(tmp_path: Path) -> None:
    method = Unchanged([])
    rows = run_benchmark(_benchmark(tmp_path, method, eight_bit=True), tmp_path / "r.csv")
    assert {row["bits"] for row in rows} == {"8"}
    for y in method.seen:
        assert torch.equal((y * 255).round() / 255, y)


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    method, path = Unchanged([]), tmp_path / "r.csv"
    benchmark = _benchmark(tmp_path, method)
    rows = run_benchmark(benchmark, path)
    write_rows(path, rows[:3])
    names = list[str]()
    assert [r["psnr"] for r in run_benchmark(benchmark, path, names.append)] == [
        r["psnr"] for r in rows
    ]
    assert len(method.seen) == 5
    assert names[0] == "0.png · weak · unchanged"
    assert len(read_rows(path)) == 4


def test_a_foreign_table_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "r.csv", [{"a": 1}])
    with pytest.raises(ValueError, match="not a benchmark's table"):
        run_benchmark(_benchmark(tmp_path, Unchanged([])), tmp_path / "r.csv")


def test_markdown() -> None:
    assert as_markdown([{"a": "1", "long": "x"}]) == "| a | long |\n|---|------|\n| 1 | x    |\n"
    assert as_markdown([]) == ""


def test_the_demonstration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = Demonstration(
        title="Lost", name="lost", known=DegradationFlags(mask=0.3, noise="gaussian:0.05"),
        methods=("variational",),
    )  # fmt: skip
    report = demonstrate(torch.rand(1, 3, 20, 24), tmp_path, [shown])
    assert report == tmp_path / "report.html"
    assert {p.name for p in tmp_path.iterdir()} == {
        "report.html", "truth.png", "lost.png", "lost.png.json", "lost-variational.png",
    }  # fmt: skip
    assert "[ 1/1] Lost: variational" in capsys.readouterr().out
