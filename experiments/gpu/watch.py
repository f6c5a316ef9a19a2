"""Measure the utilisation of the GPU while a block runs; nvidia-smi is called twice per second."""

from __future__ import annotations

import shutil
import subprocess
import threading
from statistics import fmean
from types import TracebackType

__all__ = ["Watch"]

_PERIOD = 0.5  # seconds
_QUERY = ["--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]


class Watch:
    """Sample all GPUs inside a ``with`` block; there are no samples without nvidia-smi.

    Attributes:
        utilisation: utilisation of the busiest GPU in percent, one value per sample.
        memory_mb: used memory of this GPU in MB, one value per sample.
    """

    def __init__(self) -> None:
        self.utilisation: list[float] = []
        self.memory_mb: list[float] = []
        self._program = shutil.which("nvidia-smi")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        if self._program:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        if self._program:
            self._thread.join()

    def facts(self) -> dict[str, float | None]:
        """Return the mean and maximal utilisation (percent), and the maximal memory (MB)."""
        if not self.utilisation:
            return {"mean_utilisation": None, "most_utilisation": None, "memory_mb": None}
        return {
            "mean_utilisation": round(fmean(self.utilisation), 1),
            "most_utilisation": max(self.utilisation),
            "memory_mb": max(self.memory_mb),
        }

    def _look(self) -> None:
        while not self._done.wait(_PERIOD):
            assert self._program
            done = subprocess.run(
                [self._program, *_QUERY], capture_output=True, text=True, timeout=10, check=False
            )
            try:
                rows = [[float(x) for x in line.split(",")] for line in done.stdout.splitlines()]
            except ValueError:
                continue  # "[N/A]" on some cards
            if rows:
                used, memory = max(rows)
                self.utilisation.append(used)
                self.memory_mb.append(memory)
