"""Log a run for Weights & Biases, https://wandb.ai."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from greenmachine.callbacks.base import Champion, Row, RunInfo
from greenmachine.callbacks.tracker import Tracker

__all__ = ["WandB"]


class WandB(Tracker, scheme="wandb"):
    """Write a run of W&B; by default nothing leaves this machine.

    Offline, each part of a resumed run gets a folder with the whole history: give the newest one
    to ``wandb sync``. Online, the run of W&B is continued.
    """

    modules: ClassVar = ("wandb",)
    environment: ClassVar = {"WANDB_ERROR_REPORTING": "false"}
    project: str = "greenmachine"
    mode: Literal["offline", "online"] = "offline"
    folder: str = Field(default="", description="without it `wandb/` in the run folder")
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
            reinit="create_new",  # a run of the caller's own stays open
            settings=module.Settings(silent=True, console="off"),
        )
        return int(self._run.step)

    def log(self, values: Row, step: int) -> None:
        """Log values, or set the summary where the history has the step already."""
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
