"""The commands: degrade, restore, methods, benchmark, train."""

from undegrade.cli.dispatch import main

__all__ = ["main"]
