"""Every architecture of a space that ``suggest(trial)`` defines, found by running it.

A space says what it may choose only while it chooses. So ``suggest`` runs with a trial that gives
the first choice everywhere; then with one that gives the next choice at the last place that has
one, and so on. Later choices may depend on earlier ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from greenmachine.benchmarks.suggestions import Suggest
from greenmachine.errors import ConfigError, DataError

__all__ = ["enumerate_space"]


@dataclass
class _Scripted:
    """A trial that gives the choices of a script, and the first ones after its end."""

    script: list[int]
    taken: list[int] = field(default_factory=list)
    choices: list[int] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return the choice whose turn it is."""
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
        """Return a whole number from ``low`` to ``high``."""
        return int(self.suggest_categorical(name, range(low, high + 1, step)))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Return a number on a grid.

        Raises:
            ConfigError: there is no grid.
        """
        if step is None:
            raise ConfigError(f"{name} is any number: the exhaustive search needs a step there")
        grid = [low + number * step for number in range(int((high - low) / step + 1e-9) + 1)]
        return float(self.suggest_categorical(name, grid))


def enumerate_space(suggest: Suggest) -> Iterator[dict[str, Any]]:
    """Yield the parameters of every architecture, those without one left out.

    Raises:
        ConfigError: a parameter has no finite number of values.
        Exception: whatever ``suggest`` raises, but ``DataError`` and ``ValueError``, which say
            that the parameters make no architecture.
    """
    script: list[int] | None = []
    while script is not None:
        trial = _Scripted(script)
        try:
            suggest(trial)
        except (DataError, ValueError):
            pass
        else:
            yield trial.params
        script = _next(trial)


def _next(trial: _Scripted) -> list[int] | None:
    """Return the script after that of ``trial``; None where it was the last."""
    for place in reversed(range(len(trial.taken))):
        if trial.taken[place] + 1 < trial.choices[place]:
            return [*trial.taken[:place], trial.taken[place] + 1]
    return None
