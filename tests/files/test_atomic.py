"""Files appear whole or not at all, and nothing is left behind for good."""

import os
import signal
import subprocess
import sys
import time

import pytest

from undegrade.files.atomic import appearing_in, replacing

WRITER = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
import sys, time
from undegrade.files.atomic import appearing_in, replacing
with appearing_in(sys.argv[1]) as folder, replacing(sys.argv[1] + "/a") as file:
    file.write(b"half")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def killed(tmp_path):
    """A folder in which a process was killed while it wrote."""
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    assert len(list(tmp_path.iterdir())) == 2
    return tmp_path


def test_a_later_file_removes_what_a_killed_process_left(killed):
    with replacing(killed / "b") as file:
        file.write(b"whole")
    assert [p.name for p in killed.iterdir()] == ["b"]


def test_a_later_folder_removes_what_a_killed_process_left(killed):
    with appearing_in(killed) as folder:
        (folder / "c").touch()
    assert [p.name for p in killed.iterdir()] == ["c"]


def test_what_a_living_process_writes_is_left_alone(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with replacing(tmp_path / "b") as file:
            file.write(b"whole")
        assert len(list(tmp_path.iterdir())) == 3
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        process.wait(30)
        assert time.monotonic() - began < 30
    assert [p.name for p in tmp_path.iterdir()] == ["b"]
