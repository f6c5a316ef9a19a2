"""Tables: what is written is read back, and every kind of bad input is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from greenmachine.benchmarks.nats import TOPOLOGY_TABLE
from greenmachine.benchmarks.table import checksum, load_table, save_table
from greenmachine.errors import DataError

SCHEMA = TOPOLOGY_TABLE.schema


def test_written_table_is_read_back(tmp_path: Path, tss_frame: pd.DataFrame) -> None:
    path = tmp_path / "deep" / "tss.parquet"
    save_table(tss_frame, path)
    pd.testing.assert_frame_equal(load_table(path, SCHEMA), tss_frame, check_dtype=False)
    assert [file.name for file in path.parent.iterdir()] == ["tss.parquet"]


def test_checksum_follows_the_content(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"abc")
    second.write_bytes(b"abd")
    assert checksum(first).startswith("ba7816bf")  # SHA-256 of "abc", FIPS 180-2
    assert checksum(first) != checksum(second)


def test_missing_file_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no table at .*greenmachine data import-nats"):
        load_table(tmp_path / "tss.parquet", SCHEMA)


@pytest.mark.parametrize("keep", [0, 3, 500, -1])
def test_truncated_file(tmp_path: Path, tss_frame: pd.DataFrame, keep: int) -> None:
    path = tmp_path / "tss.parquet"
    save_table(tss_frame, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="not a complete Parquet file .*import-nats"):
        load_table(path, SCHEMA)


def set_value(column: str, row: int, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        values = frame[column].tolist()
        values[row] = value
        return frame.assign(**{column: values})

    return change


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda f: f.drop(columns=["arch"]), "has no column arch"),
        (lambda f: f.drop(columns=["isomorph"]), "has no column isomorph"),
        (
            lambda f: f.drop(columns=["cifar10.test", "cifar100.test"]),
            "has no column cifar10.test, cifar100.test",
        ),
        (lambda f: f.iloc[:0], "no rows"),
        (lambda f: f.assign(index=f["index"] * 1.0), "column index holds float64, not integers"),
        (
            lambda f: f.assign(isomorph=f["isomorph"].astype("Int64").where(f["index"] > 0)),
            "column isomorph holds Int64, not integers",
        ),
        (lambda f: f.assign(**{"cifar10.params": "many"}), "cifar10.params holds .*, not numbers"),
        (lambda f: f.assign(isomorph="a"), "column isomorph holds .*, not integers"),
        (lambda f: f.assign(arch=range(len(f))), "column arch holds 0 in row 0, not text"),
        (set_value("arch", 4, None), "column arch holds .* in row 4, not text"),
        (lambda f: f.assign(**{"cifar10.test": "high"}), "cifar10.test holds .*, not numbers"),
        (lambda f: f.assign(**{"cifar10.test": True}), "cifar10.test holds bool, not numbers"),
        (set_value("cifar100.test", 5, float("nan")), "cifar100.test is nan in row 5"),
        (set_value("cifar10.test", 6, -0.5), "cifar10.test is -0.5 in row 6"),
        (set_value("imagenet16-120.test", 7, 100.5), "imagenet16-120.test is 100.5 in row 7"),
        (lambda f: f.assign(**{"cifar10.valid": 101.0}), "cifar10.valid is 101.0 in row 0"),
        (lambda f: f.iloc[1:], "not a complete benchmark: row 0 has index 1"),
        (lambda f: f.iloc[[0, 11, 20]], "not a complete benchmark: row 1 has index 11"),
        (lambda f: f.iloc[::-1], "row 0 has index 26"),
    ],
)
def test_bad_tables_name_their_fault(
    tmp_path: Path,
    tss_frame: pd.DataFrame,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    fault: str,
) -> None:
    path = tmp_path / "tss.parquet"
    save_table(change(tss_frame), path)
    with pytest.raises(DataError, match=fault) as caught:
        load_table(path, SCHEMA)
    assert "greenmachine data import-nats" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_duplicate_architecture(tmp_path: Path, tss_frame: pd.DataFrame) -> None:
    arch = tss_frame["arch"][3]
    save_table(set_value("arch", 8, arch)(tss_frame), tmp_path / "tss.parquet")
    with pytest.raises(DataError, match="rows 3 and 8 are both"):
        load_table(tmp_path / "tss.parquet", SCHEMA)


def test_unknown_optional_accuracies_are_allowed(tmp_path: Path, tss_frame: pd.DataFrame) -> None:
    frame = tss_frame.assign(**{"cifar10.valid": np.nan})
    save_table(frame, tmp_path / "tss.parquet")
    assert load_table(tmp_path / "tss.parquet", SCHEMA)["cifar10.valid"].isna().all()
