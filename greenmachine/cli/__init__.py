"""The command line: one file a command (or group of commands), thin over the packages."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line: exit code 0, 1 where something failed, 2 for bad usage.

    A signal that asks to end (``greenmachine.interrupts.ENDING``) ends it with 128 + its number.
    """
    from greenmachine.cli.stopping import signals_end

    with signals_end() as ended:  # from here on, because to import torch takes seconds
        try:
            from greenmachine.cli.app import run

            code = run(sys.argv[1:])
        except KeyboardInterrupt:
            code = 1
        sys.exit(ended(code))
