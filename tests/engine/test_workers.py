"""Tasks in processes: order, progress, errors, a killed worker, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import pytest
import torch

from greenmachine.errors import RunError
from greenmachine.workers import count_workers, one_thread, run_tasks


def power(base: int, exponent: int) -> int:
    return int(base**exponent)


def threads() -> tuple[int, int]:
    return torch.get_num_threads(), os.getpid()


def failing(number: int) -> int:
    if number == 2:
        raise RunError("on purpose")
    return number


def killed(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def slow(folder: str, number: int) -> int:
    Path(folder, str(number)).write_text(str(os.getpid()))
    time.sleep(30)
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_in_order(workers: int) -> None:
    told: list[tuple[int, int]] = []
    tasks = [(2, exponent) for exponent in range(6)]
    results = run_tasks(power, tasks, workers, lambda done, total: told.append((done, total)))
    assert results == [1, 2, 4, 8, 16, 32]
    assert told == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize("workers", [1, 2, -1])
def test_no_tasks(workers: int) -> None:
    assert run_tasks(power, [], workers) == []


def test_one_thread_everywhere() -> None:
    torch.set_num_threads(2)
    try:
        for workers in (1, 2):
            found = run_tasks(threads, [()] * 2, workers)
            assert {count for count, _ in found} == {1}
            assert (os.getpid() in {process for _, process in found}) == (workers == 1)
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("workers", [1, 2])
def test_error_of_a_task_arrives(workers: int) -> None:
    with pytest.raises(RunError, match="on purpose"):
        run_tasks(failing, [(i,) for i in range(4)], workers)
    assert run_tasks(failing, [(0,), (1,)], workers) == [0, 1]


def test_killed_worker_is_one_line_and_the_next_run_works() -> None:
    with pytest.raises(RunError, match="a worker process was killed") as caught:
        run_tasks(killed, [(i,) for i in range(4)], 2)
    assert "\n" not in str(caught.value)
    assert run_tasks(killed, [(0,), (2,)], 2) == [0, 2]


def test_backends_of_joblib() -> None:
    with joblib.parallel_config(backend="threading"):
        assert run_tasks(power, [(2, 3), (3, 2)], 2) == [8, 9]
    with joblib.parallel_config(backend="multiprocessing"):
        assert run_tasks(power, [(2, 3), (3, 2)], 2) == [8, 9]


def test_count_workers() -> None:
    assert count_workers(3) == 3
    assert count_workers(-1) >= 1


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_workers(tmp_path: Path) -> None:
    script = (
        "from greenmachine.workers import run_tasks; from tests.engine.test_workers import slow; "
        f"run_tasks(slow, [({str(tmp_path)!r}, i) for i in range(9)], 2)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, complaint = process.communicate(timeout=25)  # tasks would sleep for 30 seconds
    assert "\nKeyboardInterrupt" in complaint  # loky may add a warning of its own
    workers = [int(file.read_text()) for file in tmp_path.iterdir()]
    deadline = time.monotonic() + 10
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, workers))


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
