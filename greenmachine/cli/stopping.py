"""End a command cleanly when a signal stops it, and print how to continue."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from greenmachine.interrupts import ENDING, Ended

__all__ = ["say_when_stopped", "signals_end"]

_DEFAULT = "stopped"


class _State:
    """State of this process, because a signal handler has no other access to it."""

    number = 0
    line = _DEFAULT
    said = False


@contextmanager
def say_when_stopped(line: str) -> Iterator[None]:
    """Let a command that is stopped inside end with ``line``: what was lost, how to continue."""
    _State.line = line
    try:
        yield
    except KeyboardInterrupt:
        raise  # the line stays, and is printed after cleaning up
    except BaseException:
        _State.line = _DEFAULT
        raise
    _State.line = _DEFAULT


@contextmanager
def signals_end() -> Iterator[Callable[[int], int]]:
    """Handle the signals of ``ENDING`` inside the block.

    The first one raises :class:`~greenmachine.interrupts.Ended`, which unwinds the command: files
    are cleaned up and workers ended. Another one ends the process at once; no file is half-written
    then, and workers end within a second.

    Yields:
        A function from the exit code of the command to that of the process: after a signal, it
        prints the line of :func:`say_when_stopped` and returns 128 + the signal's number.
    """
    _State.number, _State.line, _State.said = 0, _DEFAULT, False
    before: dict[signal.Signals, Any] = {}
    with suppress(ValueError):  # outside the main thread, where the caller has other handlers
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # it is ignored under nohup
                before[number] = signal.signal(number, _end)

    def ended(code: int) -> int:
        with suppress(OSError, ValueError):  # a signal while Python closes down must not lose it
            sys.stdout.flush()
        # 130 without a signal: other code raised KeyboardInterrupt.
        number = _State.number or (signal.SIGINT if code == 128 + signal.SIGINT else 0)
        if not number:
            return code
        if not _State.said:
            _State.said = True
            print(f"greenmachine: {_State.line}", file=sys.stderr, flush=True)
        if _State.number:
            _leave(128 + number)
        return 128 + number

    try:
        yield ended
    finally:
        # After a signal, another one still ends the process at once during the cleanup.
        if not _State.number:
            for number, handler in before.items():
                signal.signal(number, handler)


def _leave(code: int) -> NoReturn:
    """End the process as Python does, but keep the signal handlers until its end.

    Python removes them before it stops threads and workers. A second signal in that time would end
    the process by the signal and not with its exit code, and leave files that should be removed.
    ``threading._shutdown``, which Python calls first at its end, has no public equivalent: it stops
    the threads of executors, for which Python would otherwise wait for ever.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(code)


def _end(number: int, _: FrameType | None) -> None:
    if _State.number:
        shown = "\x1b[?25h\n" if sys.stderr.isatty() else ""  # a live display hides the cursor
        if not _State.said:
            with suppress(OSError):
                os.write(2, f"{shown}greenmachine: {_State.line}\n".encode(errors="replace"))
        os._exit(128 + _State.number)
    _State.number = number
    raise Ended(number)
