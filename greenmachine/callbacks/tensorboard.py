"""Log a run for TensorBoard, https://www.tensorflow.org/tensorboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from greenmachine.callbacks.base import Champion, Row, RunInfo
from greenmachine.callbacks.tracker import Tracker, flat

__all__ = ["TensorBoard"]


class TensorBoard(Tracker, scheme="tensorboard"):
    """Write TensorBoard event files; a resumed run replaces the files that it wrote before.

    Args:
        folder: parent of a folder with the run's name; by default ``tensorboard/`` in the run
            folder.
    """

    modules: ClassVar = ("torch.utils.tensorboard", "tensorboard")
    folder: str = Field(
        default="", description="parent folder; default: `tensorboard/` in the run folder"
    )
    _writer: Any = None

    def __init__(self, folder: str | Path = "", **settings: Any) -> None:
        super().__init__(**{"folder": str(folder), **settings})

    def open(self, run: RunInfo, module: Any) -> int:
        """Open an event file."""
        folder = Path(self.folder, run.folder.name) if self.folder else run.folder / "tensorboard"
        self._writer = module.SummaryWriter(str(folder), purge_step=0)  # readers drop older files
        for part in module.summary.hparams(flat(run.settings), {"best_validation": None}):
            self._writer.file_writer.add_summary(part)
        return 0

    def log(self, values: Row, step: int) -> None:
        """Log scalars."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def log_champion(self, champion: Champion, step: int) -> None:
        """Log a text."""
        better = "higher" if champion.direction > 0 else "lower"
        self._writer.add_text("champion", f"`{champion.expression}`, {better} is better", step)

    def close(self, error: BaseException | None) -> None:
        """Close the event file."""
        self._writer.close()
