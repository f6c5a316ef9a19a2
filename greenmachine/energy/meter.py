"""The energy of a run, measured by codecarbon if it is installed (extra ``energy``).

codecarbon reads the meters of this machine (RAPL of the processor, NVML of GPUs) and estimates a
part that has no meter; the method is recorded beside the value. The whole machine is measured,
including other work on it and its idle power. codecarbon settings that describe the hardware are
respected, such as ``CODECARBON_FORCE_CPU_POWER=35`` (watts, in the environment); settings that send
or write data are not.

Measuring never stops or changes a run: any error of codecarbon, here or in its threads, ends the
measurement with a message of one line. The threads are daemons and no lock file is made, so nothing
remains of a run that is interrupted or killed.
"""

from __future__ import annotations

import logging
import math
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from greenmachine.energy.amount import PARTS, Energy

__all__ = ["Meter", "metered"]

_OFFLINE = {
    "tracking_mode": "machine",
    "measure_power_secs": 15,  # counters of RAPL overflow within minutes, so read them earlier
    "allow_multiple_runs": True,  # no lock file, no signal handlers
    "output_methods": [],  # no file, nothing sent
    "api_call_interval": -1,
    "emissions_endpoint": None,
    "electricitymaps_api_token": "",  # otherwise a user's token would be used, over the network
    "cloud_provider": None,
    "force_carbon_intensity_g_co2e_kwh": 0,  # energy only: no table of carbon is read
    "pue": 1.0,
    "wue": 0.0,
}
_PATIENCE = 5.0  # seconds

_CPU = {
    "intel_rapl": "measured by RAPL",
    "windows_emi": "measured by the Energy Meter Interface",
    "intel_power_gadget": "measured by Power Gadget",
}
_GPU = {"NvidiaGPUDevice": "measured by NVML", "AMDGPUDevice": "measured by AMD SMI"}


class Meter:
    """Measures from :meth:`start` to :meth:`stop`; see :func:`metered`.

    Args:
        gpu: whether GPUs count.
        say: called with one line that reports a failure.
    """

    def __init__(self, gpu: bool, say: Callable[[str], None]) -> None:
        self._gpu = gpu
        self._say = say
        self._open = ExitStack()
        self._tracker: Any = None
        self._methods: dict[str, str] = {}
        self._energy = Energy()
        self._fresh = False  # whether codecarbon has delivered values since the last request
        self._broken = False  # whether one of its threads has failed
        self._reason = ""  # the last error that it reported

    def start(self) -> None:
        """Start measuring; do nothing if codecarbon is not installed."""
        try:
            from codecarbon import OfflineEmissionsTracker

            log = logging.getLogger("codecarbon")
            log.addFilter(self._silent)
            self._open.callback(log.removeFilter, self._silent)
            # Power Gadget can only write its values to a file.
            folder = self._open.enter_context(tempfile.TemporaryDirectory())
            self._tracker = tracker = OfflineEmissionsTracker(
                **_OFFLINE, output_dir=folder, output_handlers=[self]
            )
            for timer in (tracker._scheduler, tracker._scheduler_monitor_power):
                timer.function = self._guarded(timer)
            tracker.start()
            self._methods = _methods(tracker._hardware, self._gpu)
        except Exception as error:  # of any kind: the run must go on
            if not (isinstance(error, ModuleNotFoundError) and error.name == "codecarbon"):
                self._give_up(_line(error))
        else:
            self.read()

    def read(self) -> Energy:
        """Return the energy since the start; empty if it is not measured."""
        if self._tracker is not None:
            self._fresh = False
            with suppress(Exception):  # of any kind: the run must go on
                self._tracker.flush()
            if self._broken or not self._fresh:
                self._give_up("codecarbon has no values")
        return self._energy

    def stop(self) -> None:
        """Stop measuring; the last reading is kept."""
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            # After Ctrl-C one of codecarbon's locks may stay locked, so do not wait for it.
            thread = threading.Thread(target=tracker.stop, daemon=True)
            thread.start()
            thread.join(_PATIENCE)
        with suppress(OSError):
            self._open.close()

    def out(self, total: Any, delta: Any) -> None:
        """Receive the values so far; codecarbon calls this on ``flush`` and ``stop``."""
        kwh = {part: float(getattr(total, f"{part}_energy")) for part in self._methods}
        if self._tracker is None or not kwh:
            return
        if not all(math.isfinite(value) and value >= 0 for value in kwh.values()):
            raise ValueError(f"a meter gave {kwh} kWh")
        self._energy = Energy(kwh, self._methods, float(total.duration))
        self._fresh = True

    def task_out(self, data: Any, experiment_name: str) -> None:
        """Do nothing; codecarbon requires this method."""

    def exit(self) -> None:
        """Do nothing; codecarbon requires this method."""

    def _guarded(self, timer: Any) -> Callable[[], None]:
        """Return the function of ``timer``, which runs every few seconds in a thread, made safe.

        Its errors would be printed every second. And a thread that wakes up while the tracker stops
        would start the next timer, and so run for ever.
        """
        function = timer.function

        def call() -> None:
            if self._tracker is None:
                timer.stop()
                return
            try:
                function()
            except Exception as error:
                self._broken, self._reason = True, _line(error)

        return call

    def _silent(self, record: logging.LogRecord) -> bool:
        """Suppress codecarbon's log messages, but remember errors that it logged."""
        if record.exc_info and record.exc_info[1] is not None:
            self._reason = _line(record.exc_info[1])
        return False

    def _give_up(self, otherwise: str) -> None:
        begun = " any more" if self._energy.kwh else ""
        self._say(f"energy is not measured{begun}: {self._reason or otherwise}")
        self.stop()


@contextmanager
def metered(gpu: bool, backend: str, say: Callable[[str], None]) -> Iterator[Meter]:
    """Measure the energy used inside the block.

    Args:
        gpu: whether GPUs count; those of a run that does not use them are idle.
        backend: backend of the workers. Workers at an address run on other machines, whose energy
            is not measured.
        say: called with one line that reports a failure.

    Yields:
        The meter.
    """
    meter = Meter(gpu, say)
    try:
        if ":" not in backend:
            meter.start()
        yield meter
    finally:
        meter.stop()


def _methods(hardware: Iterable[Any], gpu: bool) -> dict[str, str]:
    """Return how codecarbon measures each part; it has no public interface for this."""
    found = {}
    for part in hardware:
        kind = type(part).__name__
        if kind == "CPU":
            found["cpu"] = _CPU.get(part._mode) or _estimate(part)
        elif kind == "RAM":
            found["ram"] = f"estimated at {part.total_power().W:.3g} W"
        elif kind == "GPU":
            names = {type(device).__name__ for device in part.devices.devices}
            found["gpu"] = " and ".join(_GPU.get(name, name) for name in sorted(names))
        else:  # AppleSiliconChip, Raspberry: one object per part
            found[part.chip_part.lower()] = f"measured by {kind}"
    return {part: how for part, how in found.items() if part in PARTS and (gpu or part != "gpu")}


def _estimate(cpu: Any) -> str:
    if cpu._mode == "cpu_load":
        return f"estimated from its load, {cpu._tdp:g} W at full load"
    return f"estimated, half of {cpu._tdp:g} W"


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__} {error}".split())[:200]
