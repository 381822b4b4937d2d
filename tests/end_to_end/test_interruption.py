"""Ctrl-C ends with one line, wherever it strikes; so does a library that is not installed."""

import os
import signal
import sys
from collections.abc import Sequence

import pytest

from tests.end_to_end.conftest import Run
from undegrade.cli import dispatch
from undegrade.cli.dispatch import COMMANDS, Command


def _in_an_import(args: Sequence[str]) -> int:
    """What numpy makes of an interruption of its import."""
    del args
    try:
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    except KeyboardInterrupt:
        raise AttributeError("module 'numpy' has no attribute 'void'") from None
    return 0


def _taken_for_a_complaint(args: Sequence[str]) -> int:
    try:
        return _in_an_import(args)
    except AttributeError as error:
        raise ValueError(str(error)) from error


@pytest.mark.parametrize("command", [_in_an_import, _taken_for_a_complaint])
def test_an_interrupted_import_is_an_interruption(command, monkeypatch, capsys):
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setitem(COMMANDS, "wait", Command("waits", command))
    assert dispatch.main(["wait"]) == 130
    assert capsys.readouterr().err == "undegrade: interrupted\n"
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("folder")
def test_training_says_how_to_install_what_it_needs(run: Run, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    status, _, err = run("train --images . --output out --iterations 1")
    assert status == 2
    assert err.strip() == "undegrade: training needs more: pip install 'undegrade[train]'"
