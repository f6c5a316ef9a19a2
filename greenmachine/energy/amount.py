"""What a run has drawn: kilowatt hours by part of the machine, and how each was found out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ENERGY", "INSTALL", "PARTS", "Energy"]

ENERGY = "energy_kwh"
"""Key of a result, and column of a history, cumulative, where a run measured it."""

INSTALL = "pip install 'greenmachine[energy]'"

PARTS = {"cpu": "processor", "ram": "memory", "gpu": "GPU"}
"""What is told apart, and what a reader is told that it is."""


@dataclass(frozen=True)
class Energy:
    """What a run has drawn so far, over all its sittings; no ``kwh`` where none was measured.

    Attributes:
        kwh: kilowatt hours by part: ``cpu``, ``ram``, ``gpu``.
        methods: by part, how it was measured, or that it was estimated and from what.
        seconds: wall time that was measured: less than the run's where a sitting was not.
    """

    kwh: Mapping[str, float] = field(default_factory=dict)
    methods: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def total(self) -> float:
        """Kilowatt hours of all parts."""
        return math.fsum(self.kwh.values())

    def __add__(self, later: Energy) -> Energy:
        """Return both together; a part that was measured in two ways names both."""
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
        """Return what ``result.json`` holds, or nothing: the total, and this as JSON."""
        if not self.kwh:
            return {}
        kwh = {part: round(value, 9) for part, value in self.kwh.items()}
        parts = {"kwh": kwh, "methods": dict(self.methods), "seconds": round(self.seconds, 1)}
        return {**self.column(), "energy": parts}

    def text(self, seconds: float) -> str:
        """Return it as one line for a run that took ``seconds``."""
        parts = ", ".join(
            f"{PARTS.get(part, part)} {value:.3g} ({self.methods[part]})"
            for part, value in self.kwh.items()
        )
        covered = f"; {self.seconds:.0f} s of {seconds:.0f} s were measured"
        return f"{self.total:.3g} kWh, whole machine: {parts}" + (
            covered if self.seconds < 0.95 * seconds else ""
        )
