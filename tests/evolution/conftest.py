from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from greenmachine.callbacks import Callback, Generation
from greenmachine.config import RunConfig
from greenmachine.evolution import Run

SETTINGS: dict[str, Any] = {
    "name": "small",
    "seed": 3,
    "tasks": ["nats-tss/cifar10"],
    "passes": ["noise"],
    "workers": 1,
    "samples": {"train": {"size": 20}, "validation": {"size": 16}, "test": {"size": 24}},
    "capture": {"batch": 2, "options": {"cells": 1, "channels": 4}, "keep_signals": True},
    "evolution": {"population": 16, "generations": 4, "elites": 2, "hall_of_fame": 6},
}


def settings(**changes: Any) -> RunConfig:
    """The small run, with groups of settings changed."""
    merged = {
        key: {**SETTINGS.get(key, {}), **value} if isinstance(value, dict) else value
        for key, value in changes.items()
    }
    return RunConfig.model_validate({**SETTINGS, **merged})


class Quiet(Callback):
    """Notes what it is given, and interrupts after a generation if asked to."""

    stop_after: int | None = None

    @cached_property
    def lines(self) -> list[str]:
        return []

    @cached_property
    def rows(self) -> list[dict[str, float]]:
        return []

    @cached_property
    def populations(self) -> list[list[str]]:
        return []

    def on_message(self, line: str) -> None:
        self.lines.append(line)

    def on_capture(self, what: str, done: int, total: int) -> None:
        assert 0 < done <= total

    def on_generation(self, generation: Generation) -> None:
        self.rows.append(dict(generation.row))
        self.populations.append([individual.text for individual in generation.search.population])
        if generation.row["generation"] == self.stop_after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def finished(
    synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Quiet, dict[str, Any]]:
    """The small run, unbroken: its folder, what its callback heard, its result."""
    folder = tmp_path_factory.mktemp("run") / "unbroken"
    listener = Quiet()
    return folder, listener, Run(settings(), folder, [], listener).execute()
