"""Part h: the time that the command line needs before its work begins."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np

from experiments.performance.report import Report

__all__ = ["measure_startup"]

_LINE = "from greenmachine.cli import main; main()"
_CASES = {
    "Python alone": ["-c", "pass"],
    "import torch": ["-c", "import torch"],
    "--help": ["-c", _LINE, "--help"],
    "--version": ["-c", _LINE, "--version"],
    "evolve --help": ["-c", _LINE, "evolve", "--help"],
    "proxies list": ["-c", _LINE, "proxies", "list"],
    "unknown setting": ["-c", _LINE, "evolve", "--set", "evolution.populaton=9"],
}
_YARDSTICKS = ("Python alone", "import torch")


def measure_startup(report: Report, repeats: int) -> None:
    """Report the start-up time of several commands, of Python itself and of importing torch."""
    seconds: dict[str, list[float]] = {case: [] for case in _CASES}
    for _ in range(repeats):  # in turns, so that other work on the machine slows all of them
        for case, words in _CASES.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *words], capture_output=True, check=False)
            seconds[case].append(time.perf_counter() - started)
    median = {case: float(np.median(values)) for case, values in seconds.items()}
    for case, value in median.items():
        python, torch = (value / median[yardstick] for yardstick in _YARDSTICKS)
        note = f"{python:.1f}x Python alone, {torch:.2f}x import torch; median of {repeats}"
        report.add("h", case, value, "s", "" if case in _YARDSTICKS else note)
    report.summary["help_seconds"] = median["--help"]
    report.summary["help_to_torch"] = median["--help"] / median["import torch"]
