"""The commands: degrade, restore, methods, benchmark, train."""

from undegrade.cli.dispatch import main
from undegrade.cli.threads import sleep_when_idle

sleep_when_idle()  # here, because every command passes here before it loads torch

__all__ = ["main"]
