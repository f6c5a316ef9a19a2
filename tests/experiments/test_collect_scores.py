"""Score files joined for the repository."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.collect_scores import main
from greenmachine.evaluation import read_scores
from greenmachine.files import read_json, sha256


def test_files_are_joined_in_float32_with_a_manifest(tmp_path: Path) -> None:
    first = pd.DataFrame({"index": [7, 2, 5], "arch": list("cab"), "one": [1 / 3, np.nan, 2.0]})
    first.attrs = {"batch": 16, "directions": {"one": -1}}
    second = pd.DataFrame({"index": [5, 7, 9], "two": [1e-20, 5.0, 6.0]})
    paths = [tmp_path / "first.parquet", tmp_path / "second.parquet"]
    for frame, path in zip((first, second), paths, strict=True):
        frame.to_parquet(path, index=False)
    out = tmp_path / "kept" / "both.parquet"
    assert main([*map(str, paths), "--out", str(out)]) == 0
    held = pd.read_parquet(out)
    assert held.dtypes.astype(str).to_dict() == {
        "index": "int32",
        "one": "float32",
        "two": "float32",
    }
    read = read_scores([out])
    assert read["index"].tolist() == [5, 7]
    assert read["one"].tolist() == [2.0, pytest.approx(1 / 3, rel=1e-7)]
    assert read["two"].tolist() == [pytest.approx(1e-20, rel=1e-7), 5.0]
    assert read.attrs == {"batch": 16, "directions": {"one": -1}}
    told = read_json(out.with_suffix(".json"))
    assert told["networks"] == 2 and told["columns"] == ["one", "two"]
    assert told["sources"]["first.parquet"] == {**first.attrs, "sha256": sha256(paths[0])}


@pytest.mark.parametrize("scores", [[1.0, 1.0 + 1e-12], [1e300, 2e300], [1e-300, 0.0]])
def test_scores_that_float32_would_tie_stay_as_they_are(
    tmp_path: Path, scores: list[float]
) -> None:
    path, out = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pd.DataFrame({"index": [0, 1], "one": scores}).to_parquet(path, index=False)
    assert main([str(path), "--out", str(out)]) == 0
    assert read_scores([out])["one"].tolist() == scores


def test_chosen_columns(tmp_path: Path) -> None:
    path, out = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pd.DataFrame({"index": [1], "one": [1.0], "two": [2.0]}).to_parquet(path, index=False)
    assert main([str(path), "--out", str(out), "--columns", "two"]) == 0
    assert list(pd.read_parquet(out).columns) == ["index", "two"]
    assert main([str(path), "--out", str(out), "--columns", "three"]) == 1


def test_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.parquet"
    assert main([str(tmp_path / "none.parquet"), "--out", str(out)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()
