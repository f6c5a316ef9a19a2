"""Workers that start before the imports of their command."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from joblib.externals.loky import reusable_executor

from greenmachine.errors import ConfigError
from greenmachine.interrupts import ENDING
from greenmachine.workers import run_tasks
from greenmachine.workers.early import early_workers


def test_early_workers_do_the_work_that_follows() -> None:
    with early_workers(2):
        started = set(reusable_executor._executor._processes)
        assert len(started) == 2
        assert set(run_tasks(os.getpid, [()] * 6, 2)) <= started
    for process in started:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    assert run_tasks(abs, [(-1,), (-2,)], 2) == [1, 2]  # in new ones


BLOCKED = """
from pathlib import Path
from joblib.externals.loky import reusable_executor
from greenmachine.workers.early import early_workers

with early_workers(2):
    for process in list(reusable_executor._executor._processes):
        status = Path(f"/proc/{process}/status").read_text()
        print(status.partition("SigBlk:")[2].split()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_signals_do_not_reach_workers_that_start_with_their_trackers() -> None:
    """In a fresh process loky's trackers start too, and their start unblocks signals."""
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True)
    masks = [int(line, 16) for line in done.stdout.split()]
    assert len(masks) == 2, done.stderr
    for number in ENDING:
        assert all(mask >> (number - 1) & 1 for mask in masks), number


@pytest.mark.parametrize("workers", [0, 5000])
def test_no_worker_starts_for_an_impossible_number(workers: int) -> None:
    with pytest.raises(ConfigError), early_workers(workers):
        pass


def test_one_worker_is_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[object] = []
    monkeypatch.setattr("greenmachine.workers.early.begin_local", lambda *args: begun.append(args))
    with early_workers(1):
        assert not begun


def test_the_start_needs_no_torch() -> None:
    program = "import greenmachine.workers.early, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
