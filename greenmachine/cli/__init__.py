"""The command line: one file per command (or group of commands), a thin layer over the packages."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line: exit code 0, 1 if something failed, 2 for bad usage.

    A signal of ``greenmachine.interrupts.ENDING`` ends it with 128 + the signal's number.
    """
    from greenmachine.cli.stopping import signals_end

    with signals_end() as ended:  # already here, because importing torch takes seconds
        try:
            from greenmachine.cli.app import run

            code = run(sys.argv[1:])
        except KeyboardInterrupt:
            code = 1
        sys.exit(ended(code))
