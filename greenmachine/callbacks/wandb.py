"""Log a run for Weights & Biases, https://wandb.ai."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from greenmachine.callbacks.base import Champion, Row, RunInfo
from greenmachine.callbacks.tracker import Tracker

__all__ = ["WandB"]


class WandB(Tracker, scheme="wandb"):
    """Write a run of Weights & Biases; by default nothing is sent from this machine.

    Offline, each session of a resumed run gets a folder with the whole history: pass the newest one
    to ``wandb sync``. Online, the W&B run is continued.
    """

    modules: ClassVar = ("wandb",)
    environment: ClassVar = {"WANDB_ERROR_REPORTING": "false"}
    project: str = "greenmachine"
    mode: Literal["offline", "online"] = "offline"
    folder: str = Field(default="", description="folder; default: `wandb/` in the run folder")
    _run: Any = None

    def open(self, run: RunInfo, module: Any) -> int:
        """Start or resume the run of W&B."""
        self._run = module.init(
            project=self.project,
            mode=self.mode,
            dir=self.folder or str(run.folder),
            id=run.id,
            name=run.folder.name,
            config=dict(run.settings),
            resume="allow" if self.mode == "online" else None,
            reinit="create_new",  # another run of the caller stays open
            settings=module.Settings(silent=True, console="off"),
        )
        return int(self._run.step)

    def log(self, values: Row, step: int) -> None:
        """Log values, or update the summary if the history already has the step."""
        if step >= self._run.step:
            self._run.log(dict(values), step=step)
        else:
            self._run.summary.update(dict(values))

    def log_champion(self, champion: Champion, step: int) -> None:
        """Set the summary."""
        self._run.summary.update({"champion": champion.expression, "direction": champion.direction})

    def close(self, error: BaseException | None) -> None:
        """Finish the run of W&B."""
        self._run.finish(exit_code=1 if error else 0)
