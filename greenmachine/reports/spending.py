"""What a run has drawn, and what the training costs that it saves: the words of the report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from greenmachine.energy import ENERGY, INSTALL, Energy
from greenmachine.reports.tables import duration

__all__ = ["spending_texts"]


def spending_texts(result: Mapping[str, Any]) -> list[str]:
    """Return a text on energy, and one a data set whose training has a known cost.

    Args:
        result: ``seconds`` of the run and, where they are known, its ``energy_kwh``, ``energy``
            and ``training``, as in ``result.json``.

    Raises:
        LookupError, TypeError, ValueError: they are not what a run writes.
    """
    seconds = result["seconds"]
    energy = f"not measured. Runs measure it after {INSTALL}, unless a cluster does the work"
    if "energy" in result:
        energy = Energy(**result["energy"]).text(seconds)
    elif ENERGY in result:
        energy = f"{result[ENERGY]:.3g} kWh"
    training = result.get("training", {}).items()
    return [
        f"Energy: {energy}.",
        *(f"Training on {dataset}: {_training(cost, seconds)}." for dataset, cost in training),
    ]


def _training(cost: Mapping[str, Any], seconds: float) -> str:
    used, others = cost["used"], cost["others"]
    times = 3600 * others["hours"] / seconds if seconds else math.inf
    ratio = f"{times:,.0f}" if times >= 10 else f"{times:.1f}"
    return (
        f"the search read the accuracies of {used['networks']:,} networks, {_hours(used)} of "
        f"training; the other {others['networks']:,} of the space, which the proxy ranks "
        f"untrained, would take {_hours(others)}, {ratio} times the wall time of this run. "
        f"Each network once, isomorphic ones as one; hours are {cost['basis']}"
    )


def _hours(part: Mapping[str, float]) -> str:
    return duration(3600 * part["hours"])
