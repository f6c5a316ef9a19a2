"""End a search before its last generation."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field, model_validator

from greenmachine.callbacks.base import Callback, Generation, Row, RunInfo

__all__ = ["EarlyStopping"]


class EarlyStopping(Callback, scheme="early_stopping"):
    """End the search when the champion no longer improves, or after a time limit.

    The decision depends only on the history, so a resumed run ends at the same generation as an
    uninterrupted one.
    """

    patience: int = Field(
        default=0,
        ge=0,
        description="number of generations without a better champion on validation after which "
        "the search ends; 0: no limit",
    )
    seconds: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="wall time of the run after which no further generation begins; the number of "
        "generations then depends on the machine",
    )

    @model_validator(mode="after")
    def _ends(self) -> EarlyStopping:
        if not self.patience and self.seconds is None:
            raise ValueError("give patience, seconds, or both")
        return self

    def on_start(self, run: RunInfo) -> bool:
        """End a resumed run that should already have ended."""
        return self._enough(run.history)

    def on_generation(self, generation: Generation) -> bool:
        """End the search if its condition is met."""
        return self._enough(generation.history)

    def _enough(self, history: Sequence[Row]) -> bool:
        if not history:
            return False
        best = [row["best_validation"] for row in history]
        waited = len(best) - 1 - best.index(max(best))
        late = self.seconds is not None and history[-1]["seconds"] >= self.seconds
        return late or 0 < self.patience <= waited
