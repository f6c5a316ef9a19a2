"""Wall time and peak memory of a command, summed over all of its processes (Linux).

    python -m experiments.peak_memory greenmachine evolve --seed 0

Memory is the sum of the proportional set sizes (PSS): a page that several processes share counts
once. It is sampled once a second, so shorter peaks are missed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

PERIOD = 1.0  # seconds


def family(root: int) -> list[int]:
    """Return the process ``root`` and all its descendants."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name of the command, in brackets, may hold blanks: the parent comes after it.
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended
        children.setdefault(parent, []).append(int(folder.name))
    found = [root]
    for process in found:
        found += children.get(process, [])
    return found


def memory(process: int) -> int:
    """Return the PSS of a process in kB; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


class Watch:
    """Watches this process and all that descend from it while a block runs.

    Attributes:
        peak_gb: the most memory seen; 0 where the system tells none.
    """

    def __init__(self) -> None:
        self.peak_gb = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            total = sum(map(memory, family(os.getpid())))
            self.peak_gb = max(self.peak_gb, total / 1e6)
            if self._done.wait(PERIOD):
                return


def main() -> None:
    if len(sys.argv) < 2:
        raise SystemExit("usage: python -m experiments.peak_memory COMMAND [ARGUMENT...]")
    started = time.monotonic()
    command = subprocess.Popen(sys.argv[1:])
    peak = 0
    while command.poll() is None:
        peak = max(peak, sum(map(memory, family(command.pid))))
        time.sleep(PERIOD)
    seconds = time.monotonic() - started
    print(f"{seconds:.0f} s, peak {peak / 1e6:.2f} GB", file=sys.stderr)
    raise SystemExit(command.returncode)


if __name__ == "__main__":
    main()
