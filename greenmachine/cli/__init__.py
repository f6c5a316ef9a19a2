"""The command line: one file a command (or group of commands), thin over the packages."""

from greenmachine.cli.app import main

__all__ = ["main"]
