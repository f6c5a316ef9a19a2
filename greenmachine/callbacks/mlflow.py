"""Log a run in MLflow, https://mlflow.org."""

from __future__ import annotations

import os
import time
from typing import Any, ClassVar

from pydantic import Field

from greenmachine.callbacks.base import Champion, Row, RunInfo
from greenmachine.callbacks.tracker import Tracker, flat

__all__ = ["MLflow"]

_TAG = "greenmachine.run"


class MLflow(Tracker, scheme="mlflow"):
    """Write to an MLflow store; a resumed run continues its MLflow run."""

    modules: ClassVar = ("mlflow", "sqlalchemy")
    environment: ClassVar = {"MLFLOW_DISABLE_TELEMETRY": "true"}
    uri: str = Field(
        default="", description="address of the store; default: MLFLOW_TRACKING_URI, or ./mlflow.db"
    )
    experiment: str = "greenmachine"
    _client: Any = None
    _entities: Any = None
    _run: str = ""

    def open(self, run: RunInfo, module: Any) -> int:
        """Find the MLflow run by its tag, or create it."""
        self._entities = module.entities
        uri = self.uri or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
        self._client = client = module.MlflowClient(uri)
        known = client.get_experiment_by_name(self.experiment)
        place = known.experiment_id if known else client.create_experiment(self.experiment)
        found = client.search_runs([place], f"tags.`{_TAG}` = '{run.id}'", max_results=1)
        if found:
            self._run = found[0].info.run_id
            client.update_run(self._run, "RUNNING")
            logged = client.get_metric_history(self._run, "best")
            return 1 + max((metric.step for metric in logged), default=-1)
        tags = {_TAG: run.id, "folder": str(run.folder)}
        self._run = client.create_run(place, tags=tags, run_name=run.folder.name).info.run_id
        params = [module.entities.Param(k, str(v)) for k, v in flat(run.settings).items()]
        client.log_batch(self._run, params=params)
        return 0

    def log(self, values: Row, step: int) -> None:
        """Log metrics."""
        now = round(time.time() * 1000)
        metrics = [self._entities.Metric(k, float(v), now, step) for k, v in values.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def log_champion(self, champion: Champion, step: int) -> None:
        """Set tags."""
        self._client.set_tag(self._run, "champion", champion.expression)
        self._client.set_tag(self._run, "direction", champion.direction)

    def close(self, error: BaseException | None) -> None:
        """End the MLflow run as finished, failed, or killed by a signal."""
        stopped = "FAILED" if isinstance(error, Exception) else "KILLED"
        self._client.set_terminated(self._run, stopped if error else "FINISHED")
