"""What is kept with a trial of Optuna: its architecture, its scores, and the process that has it.

A trial that was asked for belongs to a process until its result is stored. The name of the process
is kept with the trial, so that another process knows whether it still runs.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from greenmachine.search.goals import Column

__all__ = [
    "ARCH",
    "FAILURE",
    "INVALID",
    "OWNER",
    "SCORES",
    "age",
    "counts",
    "is_dead",
    "is_done",
    "numbers",
    "plain",
    "remembered",
    "this_process",
]

OWNER, ARCH, SCORES, FAILURE, INVALID = "owner", "arch", "scores", "failure", "invalid"
"""User attributes: the process, the architecture, its columns, why it failed, why it is not
allowed."""


def remembered(
    trials: Sequence[FrozenTrial], columns: Sequence[Column]
) -> dict[str, dict[str, float]]:
    """Return what is known of architectures from trials, those of stopped batches too."""
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
    """Return scores as JSON has them: None for what is not finite."""
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}


def numbers(scores: Mapping[str, float | None]) -> dict[str, float]:
    """Return what :func:`plain` made JSON: NaN for None."""
    return {name: math.nan if value is None else value for name, value in scores.items()}


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial counts as one of those asked for: it was scored, or failed by itself."""
    return trial.state == TrialState.COMPLETE or FAILURE in trial.user_attrs


def is_done(trial: FrozenTrial) -> bool:
    """Whether a trial has objectives, and says from which scores."""
    return trial.state == TrialState.COMPLETE and SCORES in trial.user_attrs


def age(trial: FrozenTrial) -> float:
    """Return the seconds since a trial was asked for."""
    started = trial.datetime_start
    return math.inf if started is None else (datetime.now() - started).total_seconds()


def this_process() -> str:
    """Return who works here: machine, process, and when that began."""
    return f"{platform.node()} {os.getpid()} {_began(os.getpid())}"


def _began(process: int) -> str:
    try:
        # The 22nd field, counted after the name, which may have spaces and brackets.
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "?"


def is_dead(owner: str) -> bool:
    """Whether the process of a trial is known to have ended: on this machine alone."""
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
