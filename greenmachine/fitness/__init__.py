"""From scores and true accuracies to fitness: tau-b and its standard error, samples, objectives."""

from __future__ import annotations

from greenmachine.fitness.kendall import TauReference, directed_tau, kendall_tau
from greenmachine.fitness.objective import Evaluation, Fitness, Task
from greenmachine.fitness.objectives import KendallTau, Objective
from greenmachine.fitness.report import ndcg, rank_row, tau_row
from greenmachine.fitness.sampling import (
    SampleSpec,
    Split,
    class_sample,
    draw_split,
    random_sample,
    stratified_sample,
)
from greenmachine.fitness.spread import tau_difference_error, tau_standard_error

__all__ = [
    "Evaluation",
    "Fitness",
    "KendallTau",
    "Objective",
    "SampleSpec",
    "Split",
    "Task",
    "TauReference",
    "class_sample",
    "directed_tau",
    "draw_split",
    "kendall_tau",
    "ndcg",
    "random_sample",
    "rank_row",
    "stratified_sample",
    "tau_difference_error",
    "tau_row",
    "tau_standard_error",
]
