"""Files of scores: read, joined, checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from greenmachine.benchmarks import load_benchmark
from greenmachine.errors import ConfigError, DataError
from greenmachine.evaluation import check_rows, direction_of, read_scores, score_columns
from greenmachine.proxies import PROXIES, Proxy

SPACE = load_benchmark("digits-tss")


def write(path: Path, **columns: object) -> Path:
    pd.DataFrame(columns).to_parquet(path, index=False)
    return path


def test_files_are_joined_by_index(tmp_path: Path) -> None:
    first = write(
        tmp_path / "a", index=[4, 1, 7], arch=[SPACE.archs[i] for i in (4, 1, 7)], a=[1, 2, 3]
    )
    second = write(
        tmp_path / "b",
        index=[7, 2, 4],
        arch=[SPACE.archs[i] for i in (7, 2, 4)],
        b=[0.5, 1.5, None],
    )
    third = write(tmp_path / "c", index=np.array([4, 7], dtype=np.int16), c=[5.0, 6.0])
    frame = read_scores([first, second, third])
    expected = pd.DataFrame(
        {"index": [4, 7], "arch": [SPACE.archs[4], SPACE.archs[7]], "a": [1.0, 3.0]}
        | {"b": [np.nan, 0.5], "c": [5.0, 6.0]}
    )
    pd.testing.assert_frame_equal(frame, expected, check_dtype=False)
    assert all(frame[name].dtype == np.float64 for name in "abc")
    check_rows(frame, SPACE)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "no scores at .*greenmachine score"),
    "damaged": (
        lambda path: path.write_bytes(b"PAR1 and no more"),
        "is not a complete Parquet file",
    ),
    "no index": (lambda path: write(path, a=[1.0]), "needs a column index"),
    "no scores": (lambda path: write(path, index=[1], arch=["x"]), "a column of scores"),
    "no rows": (lambda path: write(path, index=[], a=[]), "and rows"),
    "index of floats": (lambda path: write(path, index=[0.5], a=[1.0]), "must hold integers"),
    "index with gaps": (lambda path: write(path, index=pd.array([1, None]), a=[1, 2]), "integers"),
    "index twice": (lambda path: write(path, index=[1, 1], a=[1, 2]), "each once"),
    "text": (lambda path: write(path, index=[1], note=["fine"]), "column note holds"),
    "truth values": (lambda path: write(path, index=[1], good=[True]), "column good holds bool"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_no_file_of_scores_is_refused(damage: str, tmp_path: Path) -> None:
    make, says = DAMAGE[damage]
    make(tmp_path / "scores.parquet")
    with pytest.raises(DataError, match=says) as raised:
        read_scores([tmp_path / "scores.parquet"])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"index": [1], "a": [1.0]}, "has the column a too"),
        ({"index": [9], "b": [1.0]}, "no network in common"),
        ({"index": [1], "arch": ["other"], "b": [1.0]}, "another benchmark"),
    ],
)
def test_files_that_do_not_fit_together(
    columns: dict[str, list[object]], says: str, tmp_path: Path
) -> None:
    first = write(tmp_path / "first", index=[1, 2], arch=["x", "y"], a=[1.0, 2.0])
    with pytest.raises(DataError, match=says):
        read_scores([first, write(tmp_path / "second", **columns)])


@pytest.mark.parametrize(
    "rows", [{"index": [400]}, {"index": [-1]}, {"index": [0], "arch": [SPACE.archs[1]]}]
)
def test_rows_of_another_benchmark(rows: dict[str, list[object]]) -> None:
    with pytest.raises(DataError, match="--on"):
        check_rows(pd.DataFrame({**rows, "a": [1.0]}), SPACE)


def test_columns_are_chosen_by_name() -> None:
    frame = pd.DataFrame(columns=["index", "arch", "nwot", "mul(a, mul(b, c))", "l2_norm"])
    assert score_columns(frame) == ["nwot", "mul(a, mul(b, c))", "l2_norm"]
    chosen = "l2_norm, mul(a, mul(b, c)),l2_norm"
    assert score_columns(frame, chosen) == ["l2_norm", "mul(a, mul(b, c))"]
    for unknown in ("nwott", "index", ""):
        with pytest.raises(ConfigError, match="they have nwot"):
            score_columns(frame, unknown)


@pytest.mark.parametrize("proxy", PROXIES, ids=lambda proxy: proxy.name)
def test_directions_are_those_of_the_zoo(proxy: Proxy) -> None:
    told = pd.DataFrame()
    assert direction_of(told, proxy.name) == proxy.direction
    assert direction_of(told, f"{proxy.name} of mine") == 1
    told.attrs = {"directions": {proxy.name: -proxy.direction}}
    assert direction_of(told, proxy.name) == -proxy.direction


def test_joined_files_keep_what_each_tells_of_its_columns(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path, sign in zip(paths, (-1, 1, None), strict=True):
        frame = pd.DataFrame({"index": [1, 2], path.name: [0.5, 1.5]})
        if sign:
            frame.attrs = {"benchmark": f"of {path.name}", "directions": {path.name: sign}}
        frame.to_parquet(path, index=False)
    joined = read_scores(paths)
    assert joined.attrs == {"benchmark": "of a", "directions": {"a": -1, "b": 1}}
    assert [direction_of(joined, name) for name in ("a", "b", "c")] == [-1, 1, 1]
