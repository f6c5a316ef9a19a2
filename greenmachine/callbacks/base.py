"""The base class of callbacks, their arguments, and the list of callbacks of a run."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from pydantic_core import to_json

from greenmachine.errors import CallbackWarning, GreenMachineError, RunError, with_type
from greenmachine.parts import Part

__all__ = [
    "Callback",
    "CallbackWarning",
    "Callbacks",
    "Champion",
    "Generation",
    "RunInfo",
    "add_callbacks",
]

Row = Mapping[str, float]
"""A row of ``history.csv``, by column."""


class Champion(Protocol):
    """The best individual on validation so far."""

    @property
    def expression(self) -> str:
        """Canonical text of the expression."""

    @property
    def direction(self) -> int:
        """1 if a high score is good, -1 if a low score is good."""

    @property
    def size(self) -> int:
        """Number of nodes."""

    @property
    def validation(self) -> float:
        """Fitness on the validation sample."""


@dataclass(frozen=True)
class RunInfo:
    """A run that starts or is resumed.

    Attributes:
        settings: all settings, as in ``config.json``.
        folder: folder of the run.
        created: date and time at which the run was first started.
        history: the generations so far; empty unless the run is resumed.
    """

    settings: Mapping[str, Any]
    folder: Path
    created: str
    history: Sequence[Row] = ()

    @property
    def id(self) -> str:
        """Sixteen characters that identify this run, the same whenever it is resumed."""
        return sha256(f"{self.folder.resolve()} {self.created}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Generation:
    """A finished generation, which is already in the checkpoint.

    Attributes:
        history: a row of ``history.csv`` for each generation so far; the last is this one.
        champion: the best individual so far.
        search: the running search with its ``population`` and ``hall``, which must not be changed.
    """

    history: Sequence[Row]
    champion: Champion
    search: Any = None

    @property
    def row(self) -> Row:
        """The row of this generation: ``generation``, ``best``, ``best_validation``, ..."""
        return self.history[-1]


class Callback(Part, family="callback"):
    """Follows a run; derive from it and define the methods that you need.

    The fields of a callback are its settings and cannot be changed. Keep state in attributes whose
    names begin with an underscore, and set them in :meth:`on_start`, because one callback may
    follow several runs. A callback with a ``scheme`` is stored in ``config.json`` and follows the
    run when it is resumed; one without must be given again.

    Examples:
        >>> class Target(greenmachine.Callback):
        ...     tau: float = 0.8
        ...
        ...     def on_generation(self, generation):
        ...         return generation.row["best_validation"] >= self.tau  # True ends the run
        >>> greenmachine.evolve(callbacks=[Target(tau=0.7)])
    """

    def check(self) -> None:
        """Raise a ConfigError if a package is missing; called before the run writes anything."""

    def on_start(self, run: RunInfo) -> bool | None:
        """Prepare; called before the capture, and again when the run is resumed.

        Returns:
            True ends a resumed run after the generations that it already has.
        """

    def on_message(self, line: str) -> None:
        """Receive a line for the user; may be called before :meth:`on_start`."""

    def on_capture(self, what: str, done: int, total: int) -> None:
        """Receive how many of ``total`` networks are captured, or scored on the test sample."""

    def on_generation(self, generation: Generation) -> bool | None:
        """Receive a finished generation.

        Returns:
            True ends the search here; the champion is then evaluated on the test sample as usual.
        """

    def on_end(self, result: Mapping[str, Any]) -> None:
        """Receive the content of ``result.json``, and close open resources."""

    def on_stop(self, error: BaseException) -> None:
        """Close open resources, because Ctrl-C, a signal or an exception stopped the run."""

    def written(self) -> dict[str, Any]:
        """Return the callback in its serialised form."""
        if self.scheme:
            return super().written()
        # Settings of a class without a scheme may be any objects; this form is only compared.
        settings = to_json(dict(self), inf_nan_mode="strings", fallback=repr)
        return {"scheme": type(self).__name__, **json.loads(settings)}


class Callbacks:
    """The callbacks of one run, called in order.

    A callback that raises an exception is reported as a :class:`CallbackWarning` and no longer
    called; the run continues. Only a callback that cannot start ends the run, because nothing is
    lost then.

    Args:
        callbacks: the callbacks.

    Attributes:
        ended_by: the serialised form of the callback that ended the search; None if none did.
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self._callbacks = list(callbacks)
        self.ended_by: dict[str, Any] | None = None

    def check(self) -> None:
        """Raise a ConfigError if a callback misses a package, or a RunError if its check fails."""
        for callback in self._callbacks:
            with _starting(callback):
                callback.check()

    def written(self) -> list[dict[str, Any]]:
        """Return the callbacks in their serialised form."""
        return [callback.written() for callback in self._callbacks]

    @contextmanager
    def running(self, run: RunInfo) -> Iterator[None]:
        """Start the callbacks; if the block raises an exception, let them close their resources.

        Raises:
            RunError: a callback cannot start.
        """
        waiting, self._callbacks, self.ended_by = self._callbacks, [], None
        try:
            for callback in waiting:
                with _starting(callback):
                    if callback.on_start(run):
                        self.ended_by = self.ended_by or callback.written()
                self._callbacks.append(callback)
            yield
        except BaseException as error:
            self._call("on_stop", error)
            raise

    def on_message(self, line: str) -> None:
        """Pass on a line for the user."""
        self._call("on_message", line)

    def on_capture(self, what: str, done: int, total: int) -> None:
        """Pass on the progress of capture, or of scoring the test sample."""
        self._call("on_capture", what, done, total)

    def on_generation(self, generation: Generation) -> None:
        """Pass on a finished generation."""
        self._call("on_generation", generation)

    def on_end(self, result: Mapping[str, Any]) -> None:
        """Pass on the result."""
        self._call("on_end", result)

    def _call(self, method: str, *args: Any) -> None:
        for callback in list(self._callbacks):
            try:
                asked = getattr(callback, method)(*args)
                if asked and method == "on_generation":
                    self.ended_by = self.ended_by or callback.written()
            except Exception as error:
                self._callbacks = [other for other in self._callbacks if other is not callback]
                with suppress(Exception):
                    callback.on_stop(error)
                warnings.warn(
                    f"{_name(callback)} failed in {method} and is no longer called: "
                    f"{with_type(error)}",
                    CallbackWarning,
                    stacklevel=2,
                )


def add_callbacks(callbacks: Sequence[Callback], new: Sequence[Callback]) -> tuple[Callback, ...]:
    """Return ``callbacks`` and ``new``, each once; a new one replaces those of its class."""
    kinds = {type(callback) for callback in new}
    kept = [old for old in callbacks if type(old) not in kinds]
    for callback in new:
        if callback not in kept:
            kept.append(callback)
    return tuple(kept)


@contextmanager
def _starting(callback: Callback) -> Iterator[None]:
    """Convert an unexpected exception of a callback into a RunError."""
    try:
        yield
    except GreenMachineError:
        raise
    except Exception as error:
        raise RunError(f"{_name(callback)} cannot start: {with_type(error)}") from error


def _name(callback: Callback) -> str:
    return f"callback {callback.scheme or type(callback).__name__}"
