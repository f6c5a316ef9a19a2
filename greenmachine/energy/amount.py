"""The energy of a run: kilowatt hours by part of the machine, and how each was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ENERGY", "INSTALL", "PARTS", "Energy"]

ENERGY = "energy_kwh"
"""Key of a result, and column of a history (cumulative), if a run measured its energy."""

INSTALL = "pip install 'greenmachine[energy]'"

PARTS = {"cpu": "processor", "ram": "memory", "gpu": "GPU"}
"""The parts of the machine, and their names for display."""


@dataclass(frozen=True)
class Energy:
    """The energy that a run has used so far, over all its sessions; empty ``kwh``: not measured.

    Attributes:
        kwh: kilowatt hours by part: ``cpu``, ``ram``, ``gpu``.
        methods: for each part, how it was measured, or from what it was estimated.
        seconds: measured wall time; less than that of the run if a session was not measured.
    """

    kwh: Mapping[str, float] = field(default_factory=dict)
    methods: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def total(self) -> float:
        """Kilowatt hours of all parts together."""
        return math.fsum(self.kwh.values())

    def __add__(self, later: Energy) -> Energy:
        """Return the sum; a part that was measured by two methods names both."""
        methods = dict(self.methods)
        for part, method in later.methods.items():
            known = methods.get(part, method)
            methods[part] = known if method in known.split("; ") else f"{known}; {method}"
        kwh = {part: self.kwh.get(part, 0.0) + later.kwh.get(part, 0.0) for part in methods}
        return Energy(kwh, methods, self.seconds + later.seconds)

    def column(self) -> dict[str, float]:
        """Return the column of a history: the total so far, or nothing."""
        return {ENERGY: round(self.total, 9)} if self.kwh else {}

    def facts(self) -> dict[str, Any]:
        """Return the entries for ``result.json``: the total, and this object; or nothing."""
        if not self.kwh:
            return {}
        kwh = {part: round(value, 9) for part, value in self.kwh.items()}
        parts = {"kwh": kwh, "methods": dict(self.methods), "seconds": round(self.seconds, 1)}
        return {**self.column(), "energy": parts}

    def text(self, seconds: float) -> str:
        """Return one line of text for a run that took ``seconds``."""
        parts = ", ".join(
            f"{PARTS.get(part, part)} {value:.3g} ({self.methods[part]})"
            for part, value in self.kwh.items()
        )
        covered = f"; {self.seconds:.0f} s of {seconds:.0f} s were measured"
        return f"{self.total:.3g} kWh, whole machine: {parts}" + (
            covered if self.seconds < 0.95 * seconds else ""
        )
