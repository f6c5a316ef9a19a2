from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

import greenmachine
from greenmachine.callbacks import Generation, RunInfo

SETTINGS: dict[str, Any] = {
    "name": "tiny",
    "tasks": "nats-tss",
    "seed": 1,
    "workers": 1,
    "samples": {"train": {"size": 8}, "validation": {"size": 6}, "test": {"size": 6}},
    "capture": {"batch": 2, "options": {"cells": 1}},
    "evolution": {"population": 8, "generations": 2, "elites": 1, "hall_of_fame": 4},
}


class Noting(greenmachine.Callback):
    """Notes which methods are called; stops, raises or interrupts after a generation."""

    stop: int | None = None
    fail: int | None = None
    interrupt: int | None = None

    @cached_property
    def calls(self) -> list[str]:
        return []

    @cached_property
    def generations(self) -> list[Generation]:
        return []

    def on_start(self, run: RunInfo) -> None:
        self.calls.append(f"start after {len(run.history)}")

    def on_message(self, line: str) -> None:
        self.calls.append(line)

    def on_capture(self, what: str, done: int, total: int) -> None:
        if done == total:
            self.calls.append(what)

    def on_generation(self, generation: Generation) -> bool:
        self.generations.append(generation)
        number = int(generation.row["generation"])
        self.calls.append(f"generation {number}")
        if number == self.fail:
            raise ValueError("no disk")
        if number == self.interrupt:
            raise KeyboardInterrupt
        return number == self.stop

    def on_end(self, result: Any) -> None:
        self.calls.append("end")

    def on_stop(self, error: BaseException) -> None:
        self.calls.append(f"stopped by {type(error).__name__}")


@pytest.fixture(scope="module")
def unbroken(synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory) -> greenmachine.Result:
    """The tiny run without callbacks."""
    folder = tmp_path_factory.mktemp("callbacks") / "unbroken"
    return greenmachine.evolve(settings=SETTINGS, out=folder)
