"""The command for a GPU machine goes its whole way on the CPU."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.gpu import __main__ as command
from experiments.gpu import pack
from experiments.gpu.checks import deviation


@pytest.mark.slow
def test_whole_command_on_the_cpu(tmp_path: Path) -> None:
    assert command.main(["--device", "cpu", "--quick", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert not found["faults"]
    assert len(found["primitives"]["result"]) > 400
    assert all(row["deviation"] == 0 for row in found["primitives"]["result"])
    assert len(found["proxies"]["result"]) > 40
    assert all(row["deviation"] == 0 for row in found["proxies"]["result"])
    assert found["sample"]["result"]["beyond_tolerance"] == 0
    run = found["evolve digits-tss/digits cpu"]["result"]
    assert set(run["phases"]) == {"capture", "tensors", "above", "test"}
    assert (tmp_path / "gpu.txt").read_text().count("\n") >= 8


@pytest.mark.parametrize(
    ("found", "expected", "size"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.2], [1.0, 2.0], 0.1),
        ([np.nan, 2.0], [np.nan, 2.0], 0.0),
        ([np.nan, 2.0], [1.0, 2.0], np.inf),
        ([np.inf, 2.0], [1.0, 2.0], np.inf),
        ([np.nan], [np.nan], 0.0),
        ([0.5], [0.0], 0.5),
    ],
)
def test_deviation(found: list[float], expected: list[float], size: float) -> None:
    assert deviation(np.array(found), np.array(expected)) == pytest.approx(size)


def fails() -> None:
    raise ValueError("on purpose")


def test_a_part_that_fails_is_a_fault_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"proxy": "one", "deviation": 0.5, "fault": "deviates"}]
    monkeypatch.setattr(command, "_parts", lambda *_: {"a": fails, "b": lambda: rows})
    assert command.main(["--device", "cpu", "--out", str(tmp_path)]) == 1
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert len(found["faults"]) == 2 and found["b"]["result"] == rows
    assert command.main(["--device", "cpu", "--out", str(tmp_path), "--seconds", "0"]) == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert "left out" in found["a"] and "left out" in found["b"]


def test_what_is_missing_and_not_packed_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack, "FOLDER", tmp_path)
    assert pack.use() == []
    monkeypatch.setitem(pack.WHEELS, "never-made", "never_made")
    with pytest.raises(SystemExit, match="never-made") as caught:
        pack.use()
    assert "\n" not in str(caught.value)
