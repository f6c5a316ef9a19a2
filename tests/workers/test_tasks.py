"""Tasks in processes: order, progress, errors, a killed worker, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import joblib
import pytest
import torch

from greenmachine.errors import RunError
from greenmachine.neutral import neutral
from greenmachine.workers import (
    WorkerWarning,
    can_begin,
    count_workers,
    run_tasks,
    stream_tasks,
)


def power(base: int, exponent: int) -> int:
    return int(base**exponent)


def threads() -> tuple[int, int]:
    return torch.get_num_threads(), os.getpid()


def failing(number: int) -> int:
    if number == 2:
        raise RunError("on purpose")
    return number


def killed(number: int, once: str = "") -> int:
    """Worker of task 1 dies; with ``once``, a file that is not there yet, only the first time."""
    if number == 1 and not (once and Path(once).exists()):
        if once:
            Path(once).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def touched(folder: str, number: int) -> int:
    Path(folder, str(number)).touch()
    return number


def span() -> tuple[float, float]:
    start = time.monotonic()
    time.sleep(0.05)
    return start, time.monotonic()


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


def test_work_begins_before_a_result_is_read(tmp_path: Path) -> None:
    stream = stream_tasks(touched, [(str(tmp_path), number) for number in range(3)], 2)
    for _ in range(600):
        if len(list(tmp_path.iterdir())) == 3:
            break
        time.sleep(0.1)
    assert len(list(tmp_path.iterdir())) == 3
    assert list(stream) == [0, 1, 2]


def test_two_streams_are_begun_only_where_one_does_not_end_the_other() -> None:
    assert can_begin(2, 4)
    assert not can_begin(1, 4)
    assert not can_begin(2, 1)
    for shared in ("loky", "threading"):
        with joblib.parallel_config(shared):
            assert not can_begin(2, 4)
    streams = [stream_tasks(power, [(base, i) for i in range(9)], 2) for base in (2, 3)]
    assert [list(stream) for stream in streams] == [[b**i for i in range(9)] for b in (2, 3)]


def test_results_stream() -> None:
    stream = stream_tasks(power, [(2, exponent) for exponent in range(100)], 2)
    assert [next(stream) for _ in range(3)] == [1, 2, 4]
    stream.close()


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
        with neutral():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("workers", [1, 2])
def test_error_of_a_task_arrives(workers: int) -> None:
    with pytest.raises(RunError, match="on purpose"):
        run_tasks(failing, [(i,) for i in range(4)], workers)
    assert run_tasks(failing, [(0,), (1,)], workers) == [0, 1]


def test_tasks_of_a_killed_worker_run_again(tmp_path: Path) -> None:
    told: list[int] = []
    tasks = [(i, str(tmp_path / "once")) for i in range(4)]
    with pytest.warns(WorkerWarning, match="repeating the last [34] of 4 tasks"):
        results = run_tasks(killed, tasks, 2, lambda done, total: told.append(done))
    assert results == [0, 1, 2, 3]
    assert told == [1, 2, 3, 4]


def test_worker_killed_twice_is_one_line_and_the_next_run_works() -> None:
    with pytest.warns(WorkerWarning), pytest.raises(RunError, match="evolve --resume") as caught:
        run_tasks(killed, [(i,) for i in range(4)], 2)
    assert "\n" not in str(caught.value)
    assert run_tasks(killed, [(0,), (2,)], 2) == [0, 2]


def test_threads_of_a_worker_take_turns() -> None:
    """Networks draw weights from the one generator of a process."""
    with joblib.parallel_config(backend="threading"):
        spans = run_tasks(span, [()] * 4, 2)
    starts, ends = zip(*sorted(spans), strict=True)
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))


def test_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where "cuda" is asked for; the switch itself needs GPUs, and is only noted here."""
    chosen: list[int] = []

    def switch(index: int) -> AbstractContextManager[None]:
        chosen.append(index)
        return nullcontext()

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "device", switch)
    for device in ("cpu", "cuda:1", "cuda"):
        assert run_tasks(power, [(i, 1) for i in range(5)], 1, device=device) == [0, 1, 2, 3, 4]
    assert chosen == [0, 1, 2, 0, 1]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert run_tasks(power, [(2, 1)], 1, device="cuda") == [2]  # torch says that none is there


def test_backends_of_joblib() -> None:
    with joblib.parallel_config(backend="threading"):
        assert run_tasks(power, [(2, 3), (3, 2)], 2) == [8, 9]
    with joblib.parallel_config(backend="multiprocessing"):
        assert run_tasks(power, [(2, 3), (3, 2)], 2) == [8, 9]


def test_count_workers() -> None:
    assert count_workers(3) == 3
    assert count_workers(-1) >= 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_command(number: signal.Signals, tmp_path: Path) -> None:
    script = (
        "from greenmachine.workers import run_tasks; from tests.workers.test_tasks import slow; "
        f"run_tasks(slow, [({str(tmp_path)!r}, i) for i in range(9)], 2)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, number)
    _, complaint = process.communicate(timeout=25)  # tasks would sleep for 30 seconds
    if number == signal.SIGINT:
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


@pytest.mark.parametrize("seconds", [0.0, 1.5])
def test_workers_end_with_a_killed_parent(seconds: float) -> None:
    """Also those that have not yet got a task: they would wait for one for five minutes."""
    code = (
        "import os, threading, time\n"
        "from greenmachine.workers import run_tasks\n"
        f"threading.Timer({seconds}, os.kill, (os.getpid(), 9)).start()\n"
        "run_tasks(time.sleep, [(9,)] * 4, 2)\n"
    )
    words = [sys.executable, "-c", code]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    process.communicate(timeout=60)  # the output ends with the last worker, which has inherited it
    assert process.returncode == -9
