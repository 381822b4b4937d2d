"""Tables and settings are what other programs read."""

import json
import math
from pathlib import Path

from undegrade.files.tables import append_row, read_rows, write_settings


def test_rows_are_added_and_columns_too(tmp_path):
    append_row(tmp_path / "a.csv", {"iteration": 1, "loss": 0.5})
    append_row(tmp_path / "a.csv", {"iteration": 2, "psnr": 30.0})
    assert read_rows(tmp_path / "a.csv") == [
        {"iteration": "1", "loss": "0.5", "psnr": ""},
        {"iteration": "2", "loss": "", "psnr": "30.0"},
    ]


def test_settings_are_always_json(tmp_path):
    settings = {
        "a": math.inf,
        "b": [math.nan, 1.5],
        "c": Path("x"),
        "\udc80": ("\udcff", -math.inf),
    }
    write_settings(tmp_path / "s.json", settings)

    def refuse(name):
        raise AssertionError(name)

    content = json.loads((tmp_path / "s.json").read_text("utf-8"), parse_constant=refuse)
    assert content["a"] == "inf"
    assert content["b"] == ["nan", 1.5]
    assert content["c"] == "x"
