"""Attributes of an Optuna trial: its architecture, its scores, and the process that works on it.

A requested trial belongs to a process until its result is stored. The name of the process is
stored with the trial, so that other processes know whether this process still runs.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from greenmachine.search.goals import Column

__all__ = [
    "ARCH",
    "FAILURE",
    "INVALID",
    "OWNER",
    "SCORES",
    "counts",
    "has_failed",
    "is_dead",
    "is_done",
    "numbers",
    "plain",
    "remembered",
    "this_process",
]

OWNER, ARCH, SCORES, FAILURE, INVALID = "owner", "arch", "scores", "failure", "invalid"
"""Names of user attributes: process, architecture, columns, reason of a failure, and reason why
the architecture is not allowed."""


def remembered(
    trials: Sequence[FrozenTrial], columns: Sequence[Column]
) -> dict[str, dict[str, float]]:
    """Return known scores by architecture, including those of interrupted batches."""
    slow = [column.text for column in columns if not column.at_once]
    found: dict[str, dict[str, float]] = {}
    for trial in trials:
        if SCORES in trial.user_attrs and slow:
            scores = numbers(trial.user_attrs[SCORES])
            found.setdefault(
                trial.user_attrs[ARCH], {name: scores[name] for name in slow if name in scores}
            )
    return found


def plain(scores: Mapping[str, float]) -> dict[str, float | None]:
    """Convert scores for JSON: a score that is not finite becomes None."""
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}


def numbers(scores: Mapping[str, float | None]) -> dict[str, float]:
    """Convert scores of :func:`plain` back: None becomes NaN."""
    return {name: math.nan if value is None else value for name, value in scores.items()}


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial counts towards the number of trials: it was scored, or its network failed."""
    return trial.state == TrialState.COMPLETE or has_failed(trial)


def has_failed(trial: FrozenTrial) -> bool:
    """Whether no score was found for the network of a trial, or ``suggest`` raised an error."""
    return FAILURE in trial.user_attrs


def is_done(trial: FrozenTrial) -> bool:
    """Whether a trial has objectives and the scores from which they were computed."""
    return trial.state == TrialState.COMPLETE and SCORES in trial.user_attrs


def this_process() -> str:
    """Return the name of this process: machine, process number, and start time."""
    return f"{platform.node()} {os.getpid()} {_began(os.getpid())}"


def _began(process: int) -> str:
    try:
        # The 22nd field, counted after the name, which may have spaces and brackets.
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "?"


def is_dead(owner: str) -> bool:
    """Whether the process of a trial has certainly ended; known only for this machine."""
    words = owner.rsplit(" ", 2)
    if len(words) != 3 or words[0] != platform.node():
        return False
    try:
        os.kill(int(words[1]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, ValueError):
        return False
    return _began(int(words[1])) != words[2]
