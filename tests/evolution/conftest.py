from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenmachine.config import RunConfig
from greenmachine.evolution import Run, Search

SETTINGS: dict[str, Any] = {
    "name": "small",
    "seed": 3,
    "benchmark": "nats-tss",
    "datasets": ["cifar10"],
    "passes": ["noise"],
    "workers": 1,
    "samples": {"train": {"size": 20}, "validation": {"size": 16}, "test": {"size": 24}},
    "capture": {"batch": 2, "options": {"cells": 1}, "keep": True},
    "evolution": {"population": 16, "generations": 4, "elites": 2, "hall_of_fame": 6},
}


def settings(**changes: Any) -> RunConfig:
    """The small run, with groups of settings changed."""
    merged = {
        key: {**SETTINGS.get(key, {}), **value} if isinstance(value, dict) else value
        for key, value in changes.items()
    }
    return RunConfig.model_validate({**SETTINGS, **merged})


class Quiet:
    """A listener that notes what it is told, and interrupts after a generation if asked to."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after = stop_after
        self.lines: list[str] = []
        self.rows: list[dict[str, float]] = []
        self.populations: list[list[str]] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def progress(self, what: str, done: int, total: int) -> None:
        assert 0 < done <= total

    def generation(self, row: dict[str, float], search: Search) -> None:
        self.rows.append(row)
        self.populations.append([individual.text for individual in search.population])
        if row["generation"] == self.stop_after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def finished(
    synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Quiet, dict[str, Any]]:
    """The small run, unbroken: its folder, what its listener heard, its result."""
    folder = tmp_path_factory.mktemp("run") / "unbroken"
    listener = Quiet()
    return folder, listener, Run(settings(), folder, [], listener).execute()
