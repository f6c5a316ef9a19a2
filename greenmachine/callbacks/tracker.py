"""Base class of experiment trackers: they log the same values, each generation once."""

from __future__ import annotations

import importlib
import os
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from greenmachine.callbacks.base import Callback, Champion, Generation, Row, RunInfo
from greenmachine.errors import ConfigError, one_line

__all__ = ["Tracker", "flat"]


class Tracker(Callback):
    """Logs a run elsewhere: history, settings as hyperparameters, champion, final tau-b.

    Attributes:
        modules: modules that it imports, the main one first.
        environment: environment variables that the modules read, set unless they exist.
    """

    modules: ClassVar[tuple[str, ...]] = ()
    environment: ClassVar[Mapping[str, str]] = {}
    _open: bool = False
    _step: int = 0

    @abstractmethod
    def open(self, run: RunInfo, module: Any) -> int:
        """Open a run of the tracker; return the first generation that it does not have yet."""

    @abstractmethod
    def log(self, values: Row, step: int) -> None:
        """Log numbers by name."""

    @abstractmethod
    def log_champion(self, champion: Champion, step: int) -> None:
        """Log the best expression so far."""

    @abstractmethod
    def close(self, error: BaseException | None) -> None:
        """Close the run of the tracker; ``error`` is the exception that stopped it, or None."""

    def check(self) -> None:
        """Raise ConfigError if a package is missing."""
        for name, value in self.environment.items():
            os.environ.setdefault(name, value)
        for module in self.modules:
            try:
                importlib.import_module(module)
            except ImportError as error:
                raise ConfigError(
                    f"callback {self.scheme} needs a package ({one_line(error, 100)}): "
                    f"pip install 'greenmachine[{self.scheme}]'"
                ) from None

    def on_start(self, run: RunInfo) -> None:
        """Open the tracker and log the generations that it does not have."""
        self.check()
        first = self.open(run, importlib.import_module(self.modules[0]))
        self._open = True
        for row in run.history:
            self._step = int(row["generation"])
            if self._step >= first:
                self._log(row)

    def on_generation(self, generation: Generation) -> None:
        """Log the row and the champion."""
        self._step = int(generation.row["generation"])
        self._log(generation.row)
        self.log_champion(generation.champion, self._step)

    def on_end(self, result: Mapping[str, Any]) -> None:
        """Log tau-b of the champion by sample and data set, and close."""
        self.log(flat({"tau": result["best"]["tau"]}, "/"), self._step)
        self._open = False
        self.close(None)

    def on_stop(self, error: BaseException) -> None:
        """Close."""
        if self._open:
            self._open = False
            self.close(error)

    def _log(self, row: Row) -> None:
        self.log({name: value for name, value in row.items() if name != "generation"}, self._step)


def flat(values: Mapping[str, Any], mark: str = ".") -> dict[str, Any]:
    """Return nested values with one key each, such as ``evolution.population``, without None."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= {f"{key}{mark}{name}": inner for name, inner in flat(value, mark).items()}
        elif value is not None:
            found[key] = value if isinstance(value, bool | int | float) else str(value)
    return found
