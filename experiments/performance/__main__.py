"""Measure speed and memory: the engine, its baselines, capture, Kendall's tau, start-up, breeding.

    python -m experiments.performance --out runs/performance --json
    python -m experiments.performance --quick
    python -m experiments.performance --parts c,g

Parts:
  a  the engine compared with plain evaluation
  b  the engine compared with new passes for every individual
  c  throughput compared with a copy of memory
  d  growth of the cost with networks, population, size and workers
  e  peak memory
  f  capture
  g  Kendall's tau
  h  start-up
  i  work after the tensor computation, and a whole run
  j  a bank

The workload consists of 100 random networks of NATS-Bench's topology space at full depth
(GREENMACHINE_DATA names the folder of its table) and the individuals of a search on them. --quick
uses the embedded digits-tss; its numbers are too small to be meaningful. Part i always uses
digits-tss. Ctrl-C stops and prints the measurements so far.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from experiments.performance.above import measure_above
from experiments.performance.bank import measure_bank
from experiments.performance.baselines import measure_plain, measure_recompute
from experiments.performance.capture import measure_capture
from experiments.performance.chains import measure_chains, measure_nodes
from experiments.performance.growth import measure_growth
from experiments.performance.kendall import measure_kendall
from experiments.performance.report import PARTS, Report
from experiments.performance.settings import QUICK, Settings
from experiments.performance.startup import measure_startup
from experiments.performance.throughput import measure_throughput
from experiments.performance.workload import Workload
from greenmachine.errors import DataError, GreenMachineError
from greenmachine.workers import keep_freed_memory

_GIVEN = ("networks", "population", "generations", "seed", "workers", "device")


def measure(settings: Settings, parts: str, report: Report) -> None:
    """Measure ``parts``, given as letters of ``PARTS``, and add the results to ``report``."""
    with tempfile.TemporaryDirectory(prefix="greenmachine-") as folder:
        workload = Workload(settings, Path(folder), report.say)
        if "g" in parts:
            measure_kendall(report, settings.seed)
        if "h" in parts:
            measure_startup(report, settings.startup_repeats)
        if "f" in parts:
            measure_capture(workload, report)
        if "a" in parts:
            measure_plain(workload, report)
        if "e" in parts:
            _measure_memory(workload, report)
        if "b" in parts:
            measure_recompute(workload, report)
        if "c" in parts:
            copy = measure_throughput(workload, report)
            measure_chains(workload, report, copy)
            measure_nodes(workload, report)
        if "d" in parts:
            measure_growth(workload, report)
        if "i" in parts:
            measure_above(workload, report)
        if "j" in parts:
            measure_bank(workload, report)


def _measure_memory(workload: Workload, report: Report) -> None:
    """Report the peak memory of the capture and of the search, over all processes together."""
    _ = workload.evolution
    if not all(workload.peaks.values()):
        report.say("peak memory: not told by this system")
        return
    for phase, peak in workload.peaks.items():
        note = "PSS of all processes, once a second; mapped pages of the store count"
        report.add("e", phase, peak, "GB", note)
    report.summary["peak_gb"] = max(workload.peaks.values())


def main(words: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.performance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--networks", type=int, help="number of networks, default 100")
    parser.add_argument("--population", type=int, help="size of the population, default 200")
    parser.add_argument("--generations", type=int, help="generations after the first, default 10")
    parser.add_argument("--seed", type=int, help="seed of the workload, default 0")
    parser.add_argument("--workers", type=int, help="number of processes, default 2")
    parser.add_argument("--device", help="torch device of capture and evaluation, default cpu")
    parser.add_argument(
        "--exclude", help="signals and primitives to leave out, such as noise_output,entropy"
    )
    parser.add_argument("--parts", default=",".join(PARTS), help="parts, default %(default)s")
    parser.add_argument("--quick", action="store_true", help="small sizes, no data needed")
    parser.add_argument("--out", type=Path, help="folder for CSV files and performance.json")
    parser.add_argument("--json", action="store_true", help="print one line of JSON at the end")
    choice = parser.parse_args(words)
    parts = choice.parts.replace(",", "")
    if not parts or set(parts) - set(PARTS):
        parser.error(f"--parts {choice.parts}: choose from {','.join(PARTS)}")
    changes: dict[str, Any] = dict(QUICK) if choice.quick else {}
    changes |= {k: v for k in _GIVEN if (v := getattr(choice, k)) is not None}
    if choice.exclude:
        changes["exclude"] = tuple(choice.exclude.split(","))
    settings = replace(Settings(), **changes)
    if torch.device(settings.device).type == "cuda" and not torch.cuda.is_available():
        parser.error(f"--device {settings.device}: torch sees no such device")
    report = Report()
    keep_freed_memory()  # as in workers: plain evaluation in this process should not be slower
    try:
        measure(settings, parts, report)
    except KeyboardInterrupt:
        report.say("stopped; measured by then:")
        return 1
    except GreenMachineError as error:
        hint = "; set GREENMACHINE_DATA to the data folder, or take --quick"
        print(f"performance: {error}{hint * isinstance(error, DataError)}", file=sys.stderr)
        return 1
    finally:  # print the finished measurements, even if a later one fails
        report.print()
        if choice.out is not None and report.rows:
            report.save(choice.out, asdict(settings))
        if choice.json and report.summary:
            report.print_json()
    return 0


if __name__ == "__main__":
    sys.exit(main())
