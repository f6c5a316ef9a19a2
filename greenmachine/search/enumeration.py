"""Enumerate every architecture of a space that ``suggest(trial)`` defines.

The choices of such a space are known only while ``suggest`` runs. So ``suggest`` runs first with a
trial that takes the first choice everywhere. Each further run takes the next choice at the last
place that has one. Later choices may depend on earlier ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from greenmachine.benchmarks.suggestions import Suggest
from greenmachine.errors import ConfigError
from greenmachine.search.suggesting import suggested

__all__ = ["enumerate_space"]


@dataclass
class _Scripted:
    """A trial that takes the choices in ``script``, and then always the first choice."""

    script: list[int]
    taken: list[int] = field(default_factory=list)
    choices: list[int] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return the choice for this place."""
        if name in self.params:
            return self.params[name]
        place = len(self.taken)
        number = self.script[place] if place < len(self.script) else 0
        self.taken.append(number)
        self.choices.append(len(choices))
        self.params[name] = choices[number]
        return choices[number]

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """Return an integer from ``low`` to ``high``."""
        return int(self.suggest_categorical(name, range(low, high + 1, step)))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Return a number of the grid from ``low`` to ``high``.

        Raises:
            ConfigError: no ``step`` is given, so there is no grid.
        """
        if step is None:
            raise ConfigError(
                f"{name} has no step: the exhaustive search cannot list its values without one"
            )
        grid = [low + number * step for number in range(int((high - low) / step + 1e-9) + 1)]
        return float(self.suggest_categorical(name, grid))


def enumerate_space(suggest: Suggest) -> Iterator[dict[str, Any]]:
    """Yield the parameters of every architecture of the space.

    Parameters that are no architecture are left out. Parameters for which ``suggest`` fails are
    kept, so that the search reports the failure.

    Raises:
        ConfigError: the number of values of a parameter is not finite.
        DataError: ``suggest`` returned something that is not text.
    """
    script: list[int] | None = []
    while script is not None:
        trial = _Scripted(script)
        found = suggested(suggest, trial)
        if found.arch is not None or found.failed:
            yield trial.params
        script = _next(trial)


def _next(trial: _Scripted) -> list[int] | None:
    """Return the script after that of ``trial``; None if it was the last."""
    for place in reversed(range(len(trial.taken))):
        if trial.taken[place] + 1 < trial.choices[place]:
            return [*trial.taken[:place], trial.taken[place] + 1]
    return None
