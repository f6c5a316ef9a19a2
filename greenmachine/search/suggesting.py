"""Call ``suggest(trial)``, which may also say that there is no architecture, or fail."""

from __future__ import annotations

import inspect
import traceback
from dataclasses import dataclass
from typing import Any

from optuna import TrialPruned

from greenmachine.benchmarks.own_networks import Suggestion
from greenmachine.benchmarks.suggestions import Suggest
from greenmachine.errors import DataError, GreenMachineError, one_line, with_type
from greenmachine.proxies.functions import name_of

__all__ = ["Suggested", "suggested"]


@dataclass(frozen=True)
class Suggested:
    """What ``suggest(trial)`` returned.

    Attributes:
        arch: the architecture; None if there is none.
        reason: why there is none, or empty.
        failed: whether ``suggest`` raised an error.
    """

    arch: str | None
    reason: str = ""
    failed: bool = False


def suggested(suggest: Suggest, trial: Any) -> Suggested:
    """Return what ``suggest(trial)`` returns.

    There is no architecture if ``suggest`` returns None or raises ``optuna.TrialPruned``. Any other
    exception is a fault of the user's function.

    Raises:
        DataError: it returned something that is not text.
        GreenMachineError: as raised by ``suggest`` or the trial.
    """
    function = suggest.function if isinstance(suggest, Suggestion) else suggest
    called = f"{name_of(function)}(trial)"
    try:
        arch: Any = suggest(trial)
    except TrialPruned as error:
        return Suggested(None, f"{called}: {with_type(error, 200)}")
    except (GreenMachineError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a user's function may raise anything, or call sys.exit
        where = _place(function, error)
        return Suggested(None, f"{called}{where}: {with_type(error, 200)}", failed=True)
    if arch is None:
        return Suggested(None, f"{called} returned None")
    if not isinstance(arch, str):
        raise DataError(
            f"{called}{_place(function)} returned {type(arch).__name__}: return the architecture "
            "as text, which build(arch) takes, or None if the choices are no architecture"
        )
    return Suggested(arch)


def _place(function: Any, error: BaseException | None = None) -> str:
    """Return the file of ``function``, and the line in it that raised ``error``, for a message."""
    try:
        file = inspect.getfile(function if inspect.isroutine(function) else type(function))
    except (TypeError, OSError):
        return ""
    frames = traceback.extract_tb(error.__traceback__) if error is not None else []
    line = next((f", line {f.lineno}" for f in reversed(frames) if f.filename == file), "")
    return f" of {one_line(ValueError(file))}{line}"
