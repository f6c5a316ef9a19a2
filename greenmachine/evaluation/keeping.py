"""Write small score files for a repository, with the attributes of their source files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from greenmachine.evaluation.score_file import read_scores, score_columns
from greenmachine.files import replace_file, sha256, write_json
from greenmachine.manifest import manifest

__all__ = ["keep_scores"]


def keep_scores(frame: pd.DataFrame, out: Path, sources: Sequence[Path]) -> None:
    """Write the scores of ``frame`` to ``out`` by index, and a manifest beside it (``.json``).

    A column is stored as float32 if this adds no ties and no score overflows, else as float64.

    Args:
        frame: scores of :func:`read_scores`. Other columns are left out, and attributes are kept.
        out: Parquet file to write.
        sources: files from which ``frame`` was made; the manifest contains their attributes.
    """
    names = score_columns(frame)
    ordered = frame.sort_values("index", ignore_index=True)
    columns = {name: _shortened(ordered[name].to_numpy(dtype=np.float64)) for name in names}
    small = pd.DataFrame({"index": ordered["index"].astype(np.int32), **columns})
    small.attrs = frame.attrs
    replace_file(
        out, lambda temporary: small.to_parquet(temporary, index=False, compression="zstd")
    )
    told = {path.name: {**read_scores([path]).attrs, "sha256": sha256(path)} for path in sources}
    facts = {"networks": len(small), "columns": names, "sources": told}
    write_json(out.with_suffix(".json"), manifest(**facts))


def _shortened(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.floating]:
    with np.errstate(over="ignore"):
        short = scores.astype(np.float32)
    finite = np.isfinite(scores)
    same = np.array_equal(np.isfinite(short), finite)
    same &= len(np.unique(short[finite])) == len(np.unique(scores[finite]))
    return short if same else scores
