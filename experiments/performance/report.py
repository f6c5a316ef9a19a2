"""Report the measurements as a printed table, as CSV and as JSON."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from greenmachine.files import write_json
from greenmachine.manifest import manifest

__all__ = ["PARTS", "Report", "Row"]

PARTS: dict[str, str] = {
    "a": "engine against plain evaluation",
    "b": "engine against recomputed passes",
    "c": "throughput",
    "d": "growth",
    "e": "peak memory",
    "f": "capture",
    "g": "Kendall's tau",
    "h": "start-up",
    "i": "above the tensors",
    "j": "bank",
}
"""The parts of the benchmark, by the letter that selects one."""


@dataclass(frozen=True)
class Row:
    """One measured number.

    Attributes:
        part: a key of ``PARTS``.
        what: the measured quantity.
        value: the number.
        unit: unit of the number.
        note: how it was measured, if the name of the quantity does not say it.
    """

    part: str
    what: str
    value: float
    unit: str
    note: str = ""


@dataclass
class Report:
    """Collect measurements, so that an interrupted run can still print them.

    Attributes:
        rows: rows of the printed table.
        details: longer tables by file name, which are written only to CSV.
        summary: numbers of the JSON line.
    """

    rows: list[Row] = field(default_factory=list)
    details: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    summary: dict[str, float] = field(default_factory=dict)
    _started: float = field(default_factory=time.monotonic)

    def add(self, part: str, what: str, value: float, unit: str, note: str = "") -> None:
        """Add a row."""
        self.rows.append(Row(part, what, float(value), unit, note))

    def say(self, line: str) -> None:
        """Print progress on standard error."""
        print(f"[{time.monotonic() - self._started:5.0f} s] {line}", file=sys.stderr, flush=True)

    def print(self) -> None:
        """Print the table."""
        widths = [max((len(_cells(r)[i]) for r in self.rows), default=0) for i in range(3)]
        for part, title in PARTS.items():
            rows = [row for row in self.rows if row.part == part]
            if rows:
                print(f"\n{part}. {title}")
            for row in rows:
                what, value, unit = _cells(row)
                line = f"  {what:<{widths[0]}}  {value:>{widths[1]}} {unit:<{widths[2]}}"
                print(f"{line}  {row.note}".rstrip())

    def print_json(self) -> None:
        """Print the summary as one line of JSON."""
        print(json.dumps({name: float(f"{v:.6g}") for name, v in self.summary.items()}))

    def save(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Write a CSV for every part and detail, and ``performance.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        for part, title in PARTS.items():
            rows = [asdict(row) for row in self.rows if row.part == part]
            name = title.lower().replace("'", "").replace(" ", "_")
            _write_csv(folder / f"{part}_{name}.csv", rows)
        for name, table in self.details.items():
            _write_csv(folder / f"{name}.csv", table)
        facts = manifest(command="python -m experiments.performance", settings=dict(settings))
        write_json(
            folder / "performance.json",
            {**facts, "summary": self.summary, "rows": [asdict(row) for row in self.rows]},
        )


def _cells(row: Row) -> tuple[str, str, str]:
    value = f"{row.value:,.0f}" if abs(row.value) >= 1000 else f"{row.value:.4g}"
    return row.what, value, row.unit


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
