"""The energy that a run used and the training cost that its proxy saves, in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from greenmachine.energy import ENERGY, INSTALL, Energy
from greenmachine.reports.page import duration

__all__ = ["spending_texts"]


def spending_texts(result: Mapping[str, Any]) -> list[str]:
    """Return a sentence about energy, and one for each data set with a known training cost.

    Args:
        result: ``seconds`` of the run and, if they are known, its ``energy_kwh``, ``energy`` and
            ``training``, as in ``result.json``.

    Raises:
        LookupError, TypeError, ValueError: they do not have the form that a run writes.
    """
    seconds = result["seconds"]
    energy = f"not measured. To measure it, {INSTALL}; work on a cluster is never measured"
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
        f"the search used the accuracies of {used['networks']:,} networks, which take "
        f"{_hours(used)} to train. Training the other {others['networks']:,} networks of the "
        f"space, which the proxy ranks without training, would take {_hours(others)}, {ratio} "
        f"times the wall time of this run. Isomorphic networks count as one; training times are "
        f"{cost['basis']}"
    )


def _hours(part: Mapping[str, float]) -> str:
    return duration(3600 * part["hours"])
