"""The best formula of each size that a run has: the Pareto front of tau against size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from greenmachine.errors import ExpressionError
from greenmachine.evolution.run_files import Checkpoint
from greenmachine.language import canonical, parse
from greenmachine.signals.paper_passes import MODE_SIGNALS
from greenmachine.signals.registry import PASSES, wanted_of

__all__ = ["Equation", "equations", "network_passes"]


@dataclass(frozen=True)
class Equation:
    """A formula of a run.

    Attributes:
        size: nodes.
        cost: number of passes through the network that it needs, forward and backward.
        train: Kendall's tau-b on the training sample, the mean over the tasks.
        validation: the same on the validation sample; NaN if it was not evaluated there.
        direction: 1 if a high score is good, -1 if a low score is good.
        formula: canonical text.
    """

    size: int
    cost: int
    train: float
    validation: float
    direction: int
    formula: str


def equations(saved: Checkpoint) -> list[Equation]:
    """Return the Pareto front of a run, the smallest formula first.

    Each has a higher tau on the training sample than all smaller ones. The candidates are the hall
    of fame and the last population.
    """
    found: dict[str, Equation] = {}
    for famous in saved.search.hall:
        validation = _mean(famous.tau.get("validation", []))
        _add(found, famous.expression, famous.tau.get("train", []), validation, famous.direction)
    for individual in saved.search.population:
        _add(found, individual.tree, individual.tau, math.nan, individual.direction)
    front: list[Equation] = []
    for equation in sorted(found.values(), key=lambda e: (e.size, -e.train, e.formula)):
        if not front or equation.train > front[-1].train:
            front.append(equation)
    return front


def network_passes(text: str) -> int:
    """Return how many passes through the network the formula ``text`` needs.

    A forward and a backward pass count as one each; ``perturbed`` needs two of both. A formula of
    weights only needs one forward pass, which shows which layers run.
    """
    terminals = parse(text).terminals
    count = 0
    for name in PASSES:
        if signals := wanted_of(name, terminals):
            backward = any(signal.endswith("_grad") for signal in signals)
            count += (1 + backward) * (2 if name == "perturbed" else 1)
    modes: dict[str, bool] = {}
    for terminal in terminals & MODE_SIGNALS.keys():
        mode, signal = MODE_SIGNALS[terminal]
        modes[mode] = modes.get(mode, False) or signal.endswith("_grad")
    modes.pop("random", None)
    return max(1, count + sum(1 + backward for backward in modes.values()))


def _add(
    found: dict[str, Equation], text: str, train: list[float], validation: float, direction: int
) -> None:
    try:
        form = canonical(parse(text))
    except ExpressionError:  # of a version with other primitives
        return
    tau = _mean(train)
    if form.text not in found and not math.isnan(tau):
        cost = network_passes(form.text)
        found[form.text] = Equation(form.size, cost, tau, validation, direction, form.text)


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan
