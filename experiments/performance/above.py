"""Part i: the work after the tensor computation, and how long workers wait for the main process.

The candidates are those of a search with broods on networks of the embedded ``digits-tss``. The
time of breeding includes drawing, text, canonical form, scores from the values of layers, and tau.
It is processor time, so other work on the machine is not counted.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from experiments.peak_memory import family
from experiments.performance.report import Report
from experiments.performance.settings import Settings
from experiments.performance.workload import TimedSearch, Workload, evolve
from greenmachine.files import read_json
from greenmachine.signals import Store
from greenmachine.workers import count_workers

__all__ = ["measure_above"]

_TICK = 0.2  # seconds between two measurements of the processes
_IDLE = 0.1  # share of a run's processor time below which workers count as idle
_RUN = "from greenmachine.cli import main; main()"


def measure_above(workload: Workload, report: Report) -> None:
    """Report candidates per second, and the share of a run in which all workers are idle."""
    settings = replace(
        workload.settings, benchmark="digits-tss", dataset="digits", workers=1, device="cpu"
    )
    spent = _candidates(settings, report)
    rate = spent.candidates / spent.seconds
    report.add(
        "i",
        "candidates above the tensors",
        rate,
        "1/s",
        f"a second and core; {spent.candidates} in broods of {settings.above_generations} "
        f"generations, {settings.above_networks} networks of digits-tss; breeding, text, scores, "
        "tau",
    )
    report.add(
        "i",
        "of their time: scores and tau",
        100 * spent.judging / spent.seconds,
        "%",
        "the rest is drawing and text, also of children that come without a brood",
    )
    report.summary["candidates_per_second"] = rate
    if sys.platform != "linux":
        report.say("share of the main process: not told by this system")
        return
    _run_alone(workload.settings, report)


def _candidates(settings: Settings, report: Report) -> TimedSearch:
    """Run a search with broods, and return the finished search."""
    with tempfile.TemporaryDirectory(prefix="greenmachine-") as folder:
        workload = Workload(settings, Path(folder), report.say)
        indices = workload.draw(settings.above_networks)
        store = Store(workload.folder / "above", workload.spec, indices)
        store.build(1, announce=report.say)
        done = evolve(
            store,
            workload.accuracy(indices),
            workload.grammar,
            settings,
            settings.above_population,
            settings.above_generations,
            report.say,
            broods=True,
            search_type=TimedSearch,
        )
    assert isinstance(done.search, TimedSearch)
    return done.search


def _run_alone(settings: Settings, report: Report) -> None:
    """Report the wall time of the embedded default run, and the time in which workers are idle."""
    workers = count_workers(settings.workers)
    with tempfile.TemporaryDirectory(prefix="greenmachine-") as folder:
        out = Path(folder) / "run"
        words = ["evolve", "--seed", "1", "--workers", str(workers), "--out", str(out)]
        words += [word for setting in settings.above_run for word in ("--set", setting)]
        started = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-c", _RUN, *words], stdout=subprocess.DEVNULL
        ) as command:
            try:
                alone = _alone(command.pid, lambda: command.poll() is None)
            finally:
                command.terminate()
        if command.returncode:
            raise RuntimeError(f"greenmachine evolve ended with {command.returncode}")
        seconds = time.perf_counter() - started
        result = read_json(out / "result.json")
    tau = next(iter(result["test"].values()))["champion"]["tau"]
    changed = f" ({', '.join(settings.above_run)})" if settings.above_run else ""
    note = f"greenmachine evolve --seed 1 on digits-tss{changed}, {workers} workers"
    report.add("i", "a run, start to end", seconds, "s", f"{note}; test tau {tau:.3f}")
    report.add(
        "i",
        "the main process works, no worker does",
        100 * alone / seconds,
        "%",
        f"of that time; looked at every {_TICK} s, start-up and end included",
    )
    report.summary["main_alone"] = alone / seconds


def _alone(process: int, runs: Callable[[], bool]) -> float:
    """Return the seconds in which ``process`` worked while its descendants did not."""
    alone, looked = 0.0, time.perf_counter()
    before: dict[int, float] = {}
    while runs():
        time.sleep(_TICK)
        now, used = time.perf_counter(), {member: _used(member) for member in family(process)}
        main = used.get(process, 0.0) - before.get(process, 0.0)
        others = sum(
            max(0.0, seconds - before.get(member, 0.0))
            for member, seconds in used.items()
            if member != process
        )
        if main > 0 and others <= _IDLE * (main + others):
            alone += now - looked
        before, looked = used, now
    return alone


def _used(process: int) -> float:
    """Return the processor time of a process in hundredths of a second; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / 100
