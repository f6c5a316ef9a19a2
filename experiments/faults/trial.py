"""Run a command in a separate process, record its output, and compare the files of its run."""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["RUN", "Done", "forked", "outcome", "resume_words", "run_words", "told"]

RUN: dict[str, Any] = {
    "seed": 5,
    "passes": ["noise"],
    "workers": 1,
    "samples": {"train": {"size": 10}, "validation": {"size": 4}, "test": {"size": 4}},
    "capture.batch": 2,
    "evolution.population": 8,
    "evolution.generations": 2,
    "evolution.elites": 2,
    "evolution.validate_best": 4,
    "evolution.hall_of_fame": 4,
}
"""Settings of the run into which faults are injected, on the networks of ``space.py``."""

_SPACE = Path(__file__).with_name("space.py")
_ON = ["--on", f"{_SPACE}:{_SPACE.with_suffix('.csv')}"]

# Values that depend on a warm cache, the clock or an installed codecarbon.
_TIMES = {"seconds", "energy", "energy_kwh", "cache_hits", "cache_misses", "evaluated", "created"}
_TIMES |= {"git"}  # state of the checkout, which may change between two trials
_LONGEST = 240  # longest time of a trial, in seconds


def run_words(folder: Path, **changes: Any) -> list[str]:
    """Return the words of ``greenmachine`` that start the run."""
    settings = {**RUN, **changes}
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return ["evolve", "--out", str(folder), *_ON, *sets]


def resume_words(folder: Path) -> list[str]:
    """Return the words of ``greenmachine`` that resume the run, in one process."""
    return ["evolve", "--resume", str(folder), "--workers", "1", *_ON]


@dataclass(frozen=True)
class Done:
    """How a process ended.

    Attributes:
        code: exit code, or minus the number of the signal that killed it.
        text: text that it printed.
    """

    code: int
    text: str

    @property
    def traceback(self) -> bool:
        """Whether the output contains a traceback or an unexpected error."""
        return "Traceback (most recent call last)" in self.text or "unexpected: " in self.text


def forked(work: Callable[[], int], kill_after: float | None = None) -> Done:
    """Run ``work`` in a forked child, in which everything is already imported.

    Args:
        work: function that returns the exit code.
        kill_after: seconds after which the child is killed (``kill -9``).
    """
    with tempfile.TemporaryFile() as printed:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                os.dup2(printed.fileno(), 1)
                os.dup2(printed.fileno(), 2)
                sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
                sys.stderr = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115
                code = work()
                sys.stdout.flush()
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 71
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(code & 255)
        limit = time.monotonic() + (_LONGEST if kill_after is None else kill_after)
        status = None
        while status is None:
            ended, found = os.waitpid(child, os.WNOHANG)
            if ended:
                status = found
            elif time.monotonic() > limit:
                os.kill(child, signal.SIGKILL)
                status = os.waitpid(child, 0)[1]
            else:
                time.sleep(0.002)
        printed.seek(0)
        return Done(os.waitstatus_to_exitcode(status), printed.read().decode(errors="replace"))


def command(words: Sequence[str]) -> int:
    """Run ``greenmachine`` with ``words`` in this process, as its entry point does."""
    from greenmachine.cli import main

    sys.argv = ["greenmachine", *words]
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def told(folder: Path) -> dict[str, Any]:
    """Return the content of each file of a run, without times and checksums that depend on them."""
    return {
        str(path.relative_to(folder)): _content(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _content(path: Path) -> Any:
    if path.suffix == ".json":
        return _kept(json.loads(path.read_text()))
    if path.suffix == ".csv":
        with path.open() as file:
            return _kept(list(csv.DictReader(file)))
    return path.read_bytes()


def _kept(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _kept(v) for k, v in value.items() if k not in {*_TIMES, "sha256", "workers"}}
    return [_kept(v) for v in value] if isinstance(value, list) else value


def outcome(folder: Path, unbroken: Path, *done: Done) -> dict[str, bool]:
    """Return the outcome of a trial whose last command should finish the run in ``folder``.

    Returns:
        ``survived``: all files equal those of ``unbroken``, or one line refuses the run.
        ``refused``: one line refuses the run. ``wrong``: the files differ without such a line.
        ``traceback``: a command printed a traceback.
    """
    last = done[-1]
    lines = [line for line in last.text.splitlines() if line.startswith("greenmachine: ")]
    refused = last.code == 1 and len(lines) == 1
    same = last.code == 0 and told(folder) == told(unbroken)
    return {
        "survived": same or refused,
        "refused": refused,
        "wrong": not (same or refused),
        "traceback": any(each.traceback for each in done),
    }
