"""Edits of a run's files with a checksum that fits: what was written so on purpose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from greenmachine.files import SEAL, read_json, sha256, write_sealed

__all__ = ["edit", "replace_scores"]


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Let ``change`` alter the JSON object in the sealed file ``path``."""
    value = read_json(path)
    value.pop(SEAL, None)
    change(value)
    write_sealed(path, value)


def replace_scores(folder: Path, scores: pd.DataFrame) -> None:
    """Give a finished run other scores."""
    scores.to_parquet(folder / "scores.parquet")
    told = {"scores.parquet": sha256(folder / "scores.parquet")}
    edit(folder / "result.json", lambda result: result.update(files=told))
