"""The folder of a user's data."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

__all__ = ["data_folder", "image_path"]


def data_folder() -> Path:
    """Return the folder of environment variable ``GREENMACHINE_DATA``, or the user's data folder.

    The folder need not exist; it contains ``nats-bench/*.parquet``, ``nas-benchmarks/*.parquet``
    and ``images/*.npz``.
    """
    chosen = os.environ.get("GREENMACHINE_DATA")
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("greenmachine"))


def image_path(folder: Path, dataset: str) -> Path:
    """Return the path of the images of ``dataset`` in ``folder``."""
    return folder / "images" / f"{dataset}.npz"
