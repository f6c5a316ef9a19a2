"""Score files that a repository keeps: in float32, with what each source tells of itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from greenmachine.evaluation.score_file import read_scores, score_columns
from greenmachine.files import replace_file, sha256, write_json
from greenmachine.manifest import manifest

__all__ = ["keep_scores"]


def keep_scores(frame: pd.DataFrame, out: Path, sources: Sequence[Path]) -> None:
    """Write the scores of ``frame`` to ``out`` by index, and a manifest beside it (``.json``).

    float32 rounds a score by 6e-8 of itself: two that are closer tie.

    Args:
        frame: of :func:`read_scores`; columns that are no scores are left out, attributes kept.
        out: a Parquet file.
        sources: files that ``frame`` was made from; the manifest has their attributes.
    """
    names = score_columns(frame)
    types = {"index": np.int32, **dict.fromkeys(names, np.float32)}
    small = frame.sort_values("index", ignore_index=True)[["index", *names]].astype(types)
    small.attrs = frame.attrs
    replace_file(
        out, lambda temporary: small.to_parquet(temporary, index=False, compression="zstd")
    )
    told = {path.name: {**read_scores([path]).attrs, "sha256": sha256(path)} for path in sources}
    facts = {"networks": len(small), "columns": names, "sources": told}
    write_json(out.with_suffix(".json"), manifest(**facts))
