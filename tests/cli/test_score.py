"""``greenmachine score`` on invented tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from greenmachine.evaluation import capture_spec, score_to_file, scoring
from greenmachine.files import replace_file
from greenmachine.language import parse

from .conftest import Call

pytestmark = pytest.mark.usefixtures("synthetic_data")

TEXT = "sum_layers(l2_norm(noise_weight_grad))"
FAST = ("--on", "nats-tss", "--batch", "2", "--option", "cells=1", "--workers", "1")


def test_table_has_proxies_and_trivial_rows(call: Call, tmp_path: Path) -> None:
    done = call("score", "l2_norm", TEXT, "--sample", "12", "--json", *FAST)
    assert done.returncode == 0, done.stderr
    rows = {row["proxy"]: row for row in json.loads(done.stdout)}
    assert set(rows) == {"l2_norm", TEXT, "(params)", "(flops)", "(convolutions)"}
    assert all(row["networks"] == 12 and row["failed"] == 0 for row in rows.values())
    assert all(-1 <= row["tau"] <= 1 and row["standard_error"] > 0 for row in rows.values())


def test_one_architecture_by_string_and_by_index(
    call: Call, tmp_path: Path, synthetic_data: Path
) -> None:
    archs = pd.read_parquet(synthetic_data / "nats-bench" / "tss.parquet")["arch"]
    by_index = call("score", "l2_norm", "--arch", "5", "--json", *FAST)
    by_string = call("score", "l2_norm", "--arch", archs[5], "--json", *FAST)
    assert json.loads(by_index.stdout) == json.loads(by_string.stdout)
    assert json.loads(by_index.stdout)[0]["arch"] == archs[5]


def test_functions_stand_beside_expressions(call: Call) -> None:
    done = call("score", "nwot", TEXT, "--sample", "40", "--json", *FAST)
    assert done.returncode == 0, done.stderr
    rows = {row["proxy"]: row for row in json.loads(done.stdout)}
    assert {"nwot", TEXT} < set(rows)
    failed = rows["nwot"]["failed"]
    assert 0 < failed < 40  # cells that hand nothing on
    assert f"nwot failed on {failed} of 40 networks: the score is -inf" in done.stderr
    alone = call("score", "nwot", "--sample", "40", "--json", *FAST)
    assert rows["nwot"] in json.loads(alone.stdout)


def test_a_function_cannot_be_evolved(call: Call) -> None:
    done = call("evolve", "--set", "evolution.seeds=[nwot]", "--out", "run")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert "'nwot' is a function, no expression" in line


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["l2_norm", "--on", "nats-xyz"], "nats-tss"),
        (["l2_norm", "--dataset", "svhn"], "svhn"),
        (["l2_norm", "--arch", "|none~0|"], "no architecture"),
        (["l2_norm", "--arch", "100000"], "100000"),
        (["l2_norm", "--sample", "0"], "--sample 0"),
        (["l2_norm", "--sample", "many"], "--sample many"),
        (["l2_norm", "--option", "cells=x"], "--option cells=x"),
        (["l2_norm", "--option", "depth=3"], "depth"),
        (["l2_nrm"], "did you mean l2_norm"),
        (["missing.py"], "cannot read missing.py"),
    ],
)
def test_bad_usage_says_what_to_do(call: Call, words: list[str], says: str, tmp_path: Path) -> None:
    done = call("score", *words)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_syntax_error_points_at_the_place(call: Call, tmp_path: Path) -> None:
    done = call("score", "sum_layers(l2_norm(noise_inputt))")
    message, text, marker = done.stderr.rstrip("\n").splitlines()
    assert "unknown name 'noise_inputt'; did you mean noise_input" in message
    assert text[marker.index("^") :].startswith("noise_inputt")


def test_interrupted_file_resumes_without_scoring_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "PART_NETWORKS", 4)
    texts = {"norm": TEXT}
    spec = capture_spec("nats-tss", "cifar10", [parse(TEXT)], batch=2, seed=0, options={"cells": 1})
    indices = list(range(10))
    out = tmp_path / "scores.parquet"

    def stop(done: int, total: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_to_file(texts, spec, indices, out, workers=1, progress=stop)
    assert not out.exists()
    assert len(list((tmp_path / "scores.parquet.parts").glob("part-*"))) == 2
    made: list[Path] = []

    def noted(path: Path, write: Callable[[Path], None]) -> None:
        made.append(path)
        replace_file(path, write)

    monkeypatch.setattr(scoring, "replace_file", noted)
    frame = score_to_file(texts, spec, indices, out, workers=1)
    assert [path.name for path in made] == ["part-000008.parquet", "scores.parquet"]
    assert frame["index"].tolist() == indices
    whole = score_to_file(texts, spec, indices, tmp_path / "again.parquet", workers=1)
    pd.testing.assert_frame_equal(frame, whole)
    assert not (tmp_path / "scores.parquet.parts").exists()
