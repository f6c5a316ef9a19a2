"""Check and time GreenMachine on a GPU, in under eight minutes.

    python -m experiments.gpu --pack                       on a machine with internet access
    python -m experiments.gpu --device cuda --out results/gpu
    python -m experiments.gpu --device cpu --quick         the same steps without a GPU

Parts: primitives and proxies (each compared with the CPU), sample (400 expressions on 128 captured
networks, on the CPU and then twice on the device), and evolve (a whole run of ten generations on
digits-tss, and on NATS-Bench if its table is there, with time by phase). After each part the
results are written to gpu.json and gpu.txt in --out, or in the folder that the variable OUT names.
A part that would start after --seconds is left out, and the report names it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.gpu import pack

Part = Callable[[], Any]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, ... or cpu")
    parser.add_argument("--out", type=Path, help="folder [default: $OUT, or runs/gpu]")
    parser.add_argument(
        "--seconds", type=float, default=420, help="time after which no part starts"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, for a quick test")
    parser.add_argument("--pack", action="store_true", help="make the folder for the GPU machine")
    parser.add_argument("--python", default="3.12", help="Python of the GPU machine, for --pack")
    parser.add_argument("--with", nargs="*", default=[], dest="extra", help="more wheels to pack")
    given = parser.parse_args(arguments)
    if given.pack:
        pack.make(given.python, given.extra)
        return 0
    began = time.monotonic()
    used = pack.use()
    pack.data()
    out = given.out or Path(os.environ.get("OUT", "runs/gpu"))
    out.mkdir(parents=True, exist_ok=True)
    report = Report(out, given.device, used, began)
    for name, part in _parts(given.device, given.quick).items():
        if time.monotonic() - began > given.seconds:
            report.left_out(name)
            continue
        report.run(name, part)
    return report.end()


def _parts(device: str, quick: bool) -> dict[str, Part]:
    from experiments.gpu.checks import check_primitives, check_proxies
    from experiments.gpu.runs import whole_run, whole_sample
    from greenmachine.benchmarks import data_folder
    from greenmachine.workers.gpus import resolve_device

    resolve_device(device)
    tasks = ["digits-tss/digits"]
    if (data_folder() / "nats-bench" / "tss.parquet").exists() and not quick:
        tasks.insert(0, "nats-tss/cifar10")
    networks, batch = (2, 4) if quick else (8, 16)
    parts: dict[str, Part] = {
        "primitives": lambda: check_primitives(device),
        "proxies": lambda: check_proxies(device, networks, batch),
        "sample": lambda: whole_sample(tasks[0], device, quick),
    }
    for task in tasks:
        for place in dict.fromkeys((device, "cpu")):  # the CPU last, because it may be left out
            parts[f"evolve {task} {place}"] = _bound(whole_run, task, place, quick)
    order = sorted(parts, key=lambda name: name.startswith("evolve") and name.endswith(" cpu"))
    return {name: parts[name] for name in order}


def _bound(function: Callable[..., Any], *arguments: Any) -> Part:
    return lambda: function(*arguments)


class Report:
    """The results, written after every part.

    Attributes:
        found: results by part.
        faults: one line per fault.
    """

    def __init__(self, out: Path, device: str, wheels: list[str], began: float) -> None:
        import torch

        from greenmachine.manifest import manifest

        self.out, self.began = out, began
        self.faults: list[str] = []
        self.lines: list[str] = []
        self.found: dict[str, Any] = {"device": device, "wheels": wheels, "manifest": manifest()}
        self.found["cuda"] = torch.version.cuda
        self._say(f"device {device}, torch {torch.__version__}, CUDA {torch.version.cuda}")

    def run(self, name: str, part: Part) -> None:
        """Run a part; an error is recorded as a fault, so that the next part can run."""
        started = time.monotonic()
        try:
            result = part()
        except Exception as error:  # the next part may work, and time on the machine is short
            line = str(error).partition("\n")[0][:300]
            self.faults.append(f"{name}: {type(error).__name__}: {line}")
            result = {"fault": self.faults[-1]}
        seconds = time.monotonic() - started
        self.found[name] = {"part_seconds": round(seconds, 1), "result": result}
        self._say(f"{name}: {seconds:.1f} s")
        for line in _lines(name, result):
            self._say(f"  {line}")
        if isinstance(result, list):
            self.faults += [f"{_named(row)}: {row['fault']}" for row in result if "fault" in row]
        self._write()

    def left_out(self, name: str) -> None:
        """Record a part that is left out for lack of time."""
        self.found[name] = "left out: --seconds were over"
        self._say(f"{name}: left out, --seconds were over")
        self._write()

    def end(self) -> int:
        """Print all faults, and return the exit status."""
        self.found["faults"] = self.faults
        self.found["seconds"] = round(time.monotonic() - self.began, 1)
        for fault in self.faults:
            self._say(f"FAULT {fault}")
        self._say(f"{len(self.faults)} faults in {self.found['seconds']} s; {self.out}/gpu.json")
        self._write()
        return 1 if self.faults else 0

    def _say(self, line: str) -> None:
        self.lines.append(line)
        print(line, flush=True)

    def _write(self) -> None:
        (self.out / "gpu.json").write_text(json.dumps(self.found, indent=1) + "\n")
        (self.out / "gpu.txt").write_text("\n".join(self.lines) + "\n")


def _named(row: dict[str, Any]) -> str:
    return str(row["proxy"] if "proxy" in row else f"{row['primitive']} {row['signature']}")


def _lines(name: str, result: Any) -> list[str]:
    if isinstance(result, list):
        worst = sorted(result, key=lambda row: -row.get("deviation", 0.0))[:3]
        named = [f"{_named(row)} {row.get('deviation', 0.0):.1e}" for row in worst]
        faults = sum("fault" in row for row in result)
        return [f"{len(result)} checked, {faults} faults; largest deviations {', '.join(named)}"]
    if "fault" in result:
        return [result["fault"]]
    if name == "sample":
        keys = ("cpu_seconds", "first_seconds", "second_seconds")
        shown = ", ".join(f"{key.partition('_')[0]} {result[key]:.2f} s" for key in keys)
        rest = f"{result['beyond_tolerance']} of {result['expressions']} beyond the tolerance"
        return [f"{result['networks']} networks: {shown}; {rest}", f"GPU {result['gpu']}"]
    phases = ", ".join(f"{phase} {value:.1f} s" for phase, value in result["phases"].items())
    return [f"{phases}; test tau {result['test_tau']}", f"GPU {result['gpu']}"]


if __name__ == "__main__":
    sys.exit(main())
