"""Faults of a run: each function makes one trial and returns its outcome."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from experiments.faults.trial import Done, command, forked, outcome, resume_words, run_words

__all__ = ["PARTS", "unbroken_run"]

Try = Callable[[Path, Path, random.Random, int], dict[str, Any]]
"""Function of the trial's folder, the run without a fault, a seeded generator, and the trial's
number."""


def unbroken_run(folder: Path) -> float:
    """Make the run without a fault, with which others are compared; return its seconds."""
    began = time.monotonic()
    if not (folder / "result.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        done = forked(partial(command, run_words(folder)))
        if done.code:
            raise SystemExit(f"the unbroken run failed: {done.text}")
        began, folder_again = time.monotonic(), folder.with_name("timed")
        forked(partial(command, run_words(folder_again)))
        (folder.parent / "seconds").write_text(str(time.monotonic() - began))
        shutil.rmtree(folder_again)
    return float((folder.parent / "seconds").read_text())


def _resumed(folder: Path) -> Done:
    # A run that was stopped before config.json was written is started again, as a user would do.
    begun = (folder / "config.json").exists()
    return forked(partial(command, resume_words(folder) if begun else run_words(folder)))


# --- stops ----------------------------------------------------------------------------------


def crash_point(folder: Path, unbroken: Path, draw: random.Random, number: int) -> dict[str, Any]:
    """End the process before, during or after the replacement of a file."""
    point, how = 1 + number // 3, ("before", "in", "after")[number % 3]

    def crash() -> int:
        from greenmachine import files

        real, left = os.replace, point

        def replace(source: Any, target: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0 and how == "in":
                with open(source, "r+b") as file:
                    file.truncate(max(1, os.path.getsize(source) // 2))
            if left != 0 or how == "after":
                real(source, target)
            if left == 0:
                os._exit(137)

        files.os.replace = replace  # type: ignore[attr-defined]
        return command(run_words(folder))

    first = forked(crash)
    if first.code == 0:  # the run has fewer replacements
        return {"skipped": True}
    return outcome(folder, unbroken, first, _resumed(folder))


def random_kill(folder: Path, unbroken: Path, draw: random.Random, number: int) -> dict[str, Any]:
    """Kill the process with ``kill -9`` at a random time, once or twice."""
    seconds = unbroken_run(unbroken)
    done = [forked(partial(command, run_words(folder)), draw.uniform(0.02, seconds))]
    if draw.random() < 0.3:
        done.append(forked(partial(command, run_words(folder)), draw.uniform(0.02, seconds)))
    return outcome(folder, unbroken, *done, _resumed(folder))


# --- commands with workers -------------------------------------------------------------------


@contextmanager
def _process(words: list[str]) -> Iterator[subprocess.Popen[str]]:
    line = "from greenmachine.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", line, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


_WIDE = "{train: {size: 32}, validation: {size: 16}, test: {size: 8}}"
_LONG = {"workers": 2, "samples": _WIDE}
"""Settings with enough shards for two workers."""


def two_workers(folder: Path) -> float:
    """Make the run of two shards without a fault, in one process."""
    return unbroken_run_of(folder, **{**_LONG, "workers": 1})


def unbroken_run_of(folder: Path, **changes: Any) -> float:
    """Make a run without a fault, with other settings."""
    if not (folder / "result.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        done = forked(partial(command, run_words(folder, **changes)))
        if done.code:
            raise SystemExit(f"the unbroken run failed: {done.text}")
    return 0.0


def _until(process: subprocess.Popen[str], path: Path, extra: float) -> None:
    """Wait until ``path`` exists or the process has ended, and then ``extra`` seconds."""
    limit = time.monotonic() + 120
    while not path.exists() and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)
    time.sleep(extra)


def _ended(process: subprocess.Popen[str]) -> Done:
    try:
        text, _ = process.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        return Done(-99, "Traceback (most recent call last): it does not end")
    return Done(process.returncode, text)


_MOMENTS = ("config.json", "signals", "checkpoint.json")


def _wide(unbroken: Path) -> Path:
    folder = unbroken.with_name("unbroken-2")
    two_workers(folder)
    return folder


def kill_two(folder: Path, unbroken: Path, draw: random.Random, number: int) -> dict[str, Any]:
    """Kill a command with two workers with ``kill -9`` at a random time."""
    wide = _wide(unbroken)
    with _process(run_words(folder, **_LONG)) as process:
        _until(process, folder / _MOMENTS[number % 3], draw.uniform(0, 1.5))
        process.kill()
        first = _ended(process)
    time.sleep(1.5)  # its workers end within a second
    begun = (folder / "config.json").exists()
    words = resume_words(folder) if begun else run_words(folder, **{**_LONG, "workers": 1})
    return outcome(folder, wide, first, forked(partial(command, words)))


def killed_worker(folder: Path, unbroken: Path, draw: random.Random, number: int) -> dict[str, Any]:
    """Kill one of two workers with ``kill -9``."""
    wide = _wide(unbroken)
    with _process(run_words(folder, **_LONG)) as process:
        _until(process, folder / _MOMENTS[1 + number % 2], draw.uniform(0, 0.5))
        for worker in _workers(process.pid)[:1]:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        first = _ended(process)
    done = [first]
    if first.code:
        done.append(forked(partial(command, resume_words(folder))))
    return outcome(folder, wide, *done)


def _workers(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and b"popen_loky" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


SIGNALS = [
    (name, times, group)
    for name in ("SIGTERM", "SIGHUP", "SIGINT")
    for times in (1, 2)
    for group in (False, True)
]


def signalled(folder: Path, unbroken: Path, draw: random.Random, number: int) -> dict[str, Any]:
    """Send a signal once or twice to a command with two workers, or to its process group."""
    wide = _wide(unbroken)
    name, times, group = SIGNALS[number % len(SIGNALS)]
    with _process(run_words(folder, **_LONG)) as process:
        _until(process, folder / _MOMENTS[1 + number % 2], draw.uniform(0.1, 1.0))
        for _ in range(times):
            with suppress(ProcessLookupError):
                (os.killpg if group else os.kill)(process.pid, signal.Signals[name])
            time.sleep(0.15)
        first, first_pid = _ended(process), process.pid
    time.sleep(1.5)
    second = forked(partial(command, resume_words(folder)))
    found = outcome(folder, wide, first, second)
    number = signal.Signals[name]
    # A command that has finished its work and is exiting may be ended by the signal.
    finished = first.code in (0, -number) and "Next: greenmachine export" in first.text
    expected = finished or first.code == 128 + number
    line = finished or "--resume" in first.text
    left = [path for path in os.listdir("/dev/shm") if re.search(rf"[-_]{first_pid}[-_]", path)]
    lines = [each for each in first.text.splitlines() if "greenmachine:" in each]
    quiet = len(lines) <= 1 and "resource_tracker" not in first.text
    good = expected and line and not left and quiet
    note = "" if good else f"{name}: code {first.code}, left {sorted(left)}, {first.text[-300:]}"
    return {**found, "survived": found["survived"] and good, "wrong": found["wrong"] or not good,
            "note": note}  # fmt: skip


# --- the disk --------------------------------------------------------------------------------


def bit_flip(folder: Path, unbroken: Path, draw: random.Random, number: int) -> dict[str, Any]:
    """Flip a bit in a file of an unfinished run and resume it, or of a finished run and export."""
    stopped = unbroken.with_name("stopped")
    if not (stopped / "checkpoint.json").exists():
        shutil.rmtree(stopped, ignore_errors=True)
        forked(partial(_stop_after, stopped, 1))
    finished = number % 4 == 3
    shutil.copytree(unbroken if finished else stopped, folder)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.stat().st_size)
    path = files[number // 4 % len(files)] if draw.random() < 0.5 else draw.choice(files)
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
    name = str(path.relative_to(folder))
    if not finished:
        return {**outcome(folder, unbroken, _resumed(folder)), "note": name}
    out = folder.with_name("named_1.py")
    good = folder.parent.with_name("named_2.py")
    if not good.exists():
        forked(partial(command, ["export", str(unbroken), "--out", str(good)]))
    done = forked(partial(command, ["export", str(folder), "--out", str(out)]))
    refused = done.code == 1 and done.text.count("greenmachine: ") == 1
    same = done.code == 0 and _same_but(good, out)
    out.unlink(missing_ok=True)
    return {"survived": same or refused, "refused": refused, "wrong": not (same or refused),
            "traceback": done.traceback, "note": f"finished {name}"}  # fmt: skip


def _same_but(good: Path, out: Path) -> bool:
    """Whether two exports are equal except for the name of the file."""
    left, right = (p.read_text().replace(p.stem, "NAME").split() for p in (good, out))
    return left == right


def _stop_after(folder: Path, generation: int) -> int:
    from greenmachine.evolution.run_folder import RunFolder

    real = RunFolder.save

    def save(self: Any, checkpoint: Any) -> None:
        real(self, checkpoint)
        if checkpoint.search.generation == generation:
            os._exit(137)

    RunFolder.save = save  # type: ignore[method-assign]
    return command(run_words(folder))


def full_disk(folder: Path, unbroken: Path, draw: random.Random, number: int) -> dict[str, Any]:
    """Run on a file system that becomes full, enlarge it, and resume. Needs the right to mount."""
    folder.mkdir()
    whole = sum(p.stat().st_size for p in unbroken.rglob("*") if p.is_file())
    size = int(draw.uniform(8_192, 4 * whole))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], check=True)
    try:
        run = folder / "run"
        first = forked(partial(command, run_words(run)))
        full = first.code == 0 or first.text.count("greenmachine: ") == 1
        subprocess.run(["mount", "-o", "remount,size=256m", str(folder)], check=True)
        found = outcome(run, unbroken, first, _resumed(run))
        survived, wrong = found["survived"] and full, found["wrong"] or not full
        note = f"{size} bytes: {first.code}"
        return {**found, "survived": survived, "wrong": wrong, "note": note}
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


# --- others ----------------------------------------------------------------------------------


def two_at_once(folder: Path, unbroken: Path, draw: random.Random, number: int) -> dict[str, Any]:
    """Start the same command twice at almost the same time."""
    done: list[Done] = []

    def one() -> None:
        done.append(forked(partial(command, run_words(folder))))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(draw.uniform(0, 0.4))
    for thread in threads:
        thread.join()
    first = min(done, key=lambda each: each.code)
    other = max(done, key=lambda each: each.code)
    alone = other.code == 0 or "another command is at work" in other.text
    found = outcome(folder, unbroken, other, first)
    return {**found, "survived": found["survived"] and alone, "wrong": found["wrong"] or not alone}


def deleted_folder(
    folder: Path, unbroken: Path, draw: random.Random, number: int
) -> dict[str, Any]:
    """Remove the folder of a running command, or put another run in its place."""
    wanted = draw.choice(_MOMENTS)
    others: list[Done] = []

    def meddle() -> None:
        limit = time.monotonic() + 60
        while not (folder / wanted).exists() and time.monotonic() < limit:
            time.sleep(0.002)
        time.sleep(draw.uniform(0, 0.3))
        folder.rename(folder.with_name("moved"))
        if number % 2:
            shutil.copytree(unbroken, folder)

    thread = threading.Thread(target=meddle)
    thread.start()
    first = forked(partial(command, run_words(folder)))
    thread.join()
    finished = (folder.with_name("moved") / "result.json").exists()
    said = first.code == 1 and first.text.count("greenmachine: ") == 1
    shutil.rmtree(folder.with_name("moved"), ignore_errors=True)
    if number % 2:  # the other run has to be unchanged
        others.append(forked(partial(command, resume_words(folder))))
        found = outcome(folder, unbroken, first, *others)
    else:
        gone = not folder.exists()
        found = {"survived": gone, "wrong": not gone, "traceback": first.traceback}
    good = said or (finished and first.code == 0)
    return {**found, "survived": found["survived"] and good, "wrong": found["wrong"] or not good,
            "note": f"{wanted}: {first.text[-200:] if not good else first.code}"}  # fmt: skip


PARTS: dict[str, tuple[Try, int, str]] = {
    "crash points": (crash_point, 96, "before, in and after every file replacement"),
    "kills, 1 worker": (random_kill, 120, "kill -9 at a random time, some twice"),
    "kills, 2 workers": (kill_two, 16, "kill -9 at a random time"),
    "bit flips": (bit_flip, 100, "a bit of any file; three of four of an unfinished run"),
    "full disks": (full_disk, 20, "a file system of a random size"),
    "signals": (signalled, 12, "TERM, HUP, INT, once and twice, to process and group, 2 workers"),
    "killed workers": (killed_worker, 6, "kill -9 of one of 2 workers"),
    "two commands": (two_at_once, 10, "the same command twice at once"),
    "deleted folders": (deleted_folder, 12, "removed, or another run in its place"),
}
"""By name the function of a trial, the number of trials, and a description."""
