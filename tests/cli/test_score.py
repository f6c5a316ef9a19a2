"""``greenmachine score`` on invented tables."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from greenmachine.export import write_export
from greenmachine.proxies import PROXIES

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


@pytest.mark.parametrize("arch", ["00", "007", "-01", "0000000", "99999999"])
def test_a_mistyped_architecture_is_not_an_index(call: Call, arch: str) -> None:
    done = call("score", "l2_norm", f"--arch={arch}", *FAST)
    assert done.returncode == 1 and done.stdout == ""
    assert "architecture" in done.stderr and arch in done.stderr


def test_a_file_of_a_named_proxy_stands_beside_it(call: Call, tmp_path: Path) -> None:
    text = PROXIES.find("l2_norm").text
    write_export(tmp_path / "l2_norm.py", text, direction=1, shape=(2, 3, 32, 32), name="l2_norm")
    done = call("score", "l2_norm", "l2_norm.py", "--sample", "12", "--json", *FAST)
    assert done.returncode == 0, done.stderr
    rows = {row["proxy"]: row["tau"] for row in json.loads(done.stdout)}
    assert rows["l2_norm"] == rows["l2_norm.py"]


def test_other_scores_are_not_replaced(call: Call) -> None:
    words = ("score", "params", "--out", "scores.parquet", *FAST, "--sample")
    assert call(*words, "12").returncode == 0
    assert "remove it first" in call(*words, "11").stderr
    assert call(*words, "12").returncode == 0


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


def test_all_three_kinds_stand_side_by_side(call: Call) -> None:
    done = call("score", "sed", "nwot", TEXT, "--sample", "40", "--json", *FAST)
    assert done.returncode == 0, done.stderr
    rows = {row["proxy"]: row for row in json.loads(done.stdout)}
    assert {"sed", "nwot", TEXT} < set(rows)
    alone = call("score", "sed", "--sample", "40", "--json", *FAST)
    assert rows["sed"] in json.loads(alone.stdout)
    failed = rows["sed"]["failed"]
    assert alone.stderr == f"sed failed on {failed} of 40 networks: the score is -inf\n"


@pytest.mark.parametrize("name", ["digits-tss", "digits-sss"])
def test_architectures_alone_score_a_whole_space(call: Call, tmp_path: Path, name: str) -> None:
    done = call("score", "sed", "--on", name, "--sample", "all", "--out", "a.parquet", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = (row for row in json.loads(done.stdout) if row["proxy"] == "sed")
    frame = pd.read_parquet(tmp_path / "a.parquet")
    assert row["networks"] == len(frame) >= 300 and row["failed"] == frame["sed"].isna().sum()
    assert row["tau"] > 0.3
    one = call("score", "sed", "--on", name, "--arch", "7", "--json")
    assert json.loads(one.stdout)[0]["sed"] == frame["sed"][7]


@pytest.mark.parametrize("name", ["nwot", "sed"])
def test_a_function_cannot_be_evolved(call: Call, name: str) -> None:
    done = call("evolve", "--set", f"evolution.seeds=[{name}]", "--out", "run")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert f"'{name}' is a function, not an expression" in line


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
        (["missing.py"], "missing.py"),
    ],
)
def test_bad_usage_says_what_to_do(call: Call, words: list[str], says: str, tmp_path: Path) -> None:
    done = call("score", *words)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("options", [("cells=1",), ("=2",), ("cells=-1",)])
def test_options_are_given_once_and_named(call: Call, options: tuple[str, ...]) -> None:
    given = [word for option in options for word in ("--option", option)]
    done = call("score", "l2_norm", "--sample", "5", *FAST, *given)
    assert done.returncode == 1 and "--option" in done.stderr


def test_syntax_error_points_at_the_place(call: Call, tmp_path: Path) -> None:
    done = call("score", "sum_layers(l2_norm(noise_inputt))")
    message, text, marker = done.stderr.rstrip("\n").splitlines()
    assert "unknown name 'noise_inputt'; did you mean noise_input" in message
    assert text[marker.index("^") :].startswith("noise_inputt")


KILLABLE = """
from greenmachine.cli import main
from greenmachine.evaluation import checkpoint

checkpoint.PART_NETWORKS = 16
main()
"""


def test_a_killed_sweep_goes_on_with_nothing_lost_or_doubled(call: Call, tmp_path: Path) -> None:
    words = ("score", "nwot", "l2_norm", "--sample", "75", *FAST, "--option", "channels=4", "--out")
    parts = tmp_path / "killed.parquet.parts"
    start = [sys.executable, "-c", KILLABLE, *words, "killed.parquet"]
    sweep = subprocess.Popen(start, cwd=tmp_path)
    while sweep.poll() is None and len(list(parts.glob("part-*"))) < 2:
        time.sleep(0.01)
    sweep.kill()
    assert sweep.wait() == -signal.SIGKILL
    before = 16 * len(list(parts.glob("part-*")))
    assert 32 <= before < 75
    resumed, whole = call(*words, "killed.parquet"), call(*words, "whole.parquet")
    assert resumed.returncode == 0, resumed.stderr
    says = f"75 networks, 75 distinct: {before} scored before, {75 - before} to go"
    assert says in resumed.stderr
    assert resumed.stdout == whole.stdout
    (failed,) = (line for line in whole.stderr.splitlines() if line.startswith("nwot failed on"))
    assert failed in resumed.stderr
    killed = tmp_path / "killed.parquet"
    assert killed.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert pd.read_parquet(killed)["index"].is_unique
    assert not parts.exists()


def test_cells_that_compute_the_same_are_scored_once(call: Call) -> None:
    sample = ("--sample", "40", "--seed", "5", "--distinct", *FAST, "--option", "channels=4")
    done = call("score", "l2_norm", *sample, "--out", "scores.parquet")
    assert "40 networks, 39 distinct: 0 scored before, 39 to go" in done.stderr
    assert re.search(r"^networks: 16/39, 0:\d\d:\d\d left$", done.stderr, re.MULTILINE)
    assert "40 networks x 1 proxies in scores.parquet" in done.stderr
    refused = call("score", "nwot", *sample)
    assert refused.returncode == 1
    assert "distinct is for expressions alone: nwot is a function" in refused.stderr


def test_backend_is_named(call: Call) -> None:
    assert call("score", "l2_norm", "--backend", "loky", "--sample", "3", *FAST).returncode == 0
    refused = call("score", "l2_norm", "--backend", "abacus", *FAST)
    assert refused.returncode == 1
    assert "unknown backend 'abacus'" in refused.stderr


def test_rank_sums_and_seeds_in_one_sweep(call: Call, tmp_path: Path) -> None:
    words = ("score", "rank_sum(params, -l2_norm, sed)", "l2_norm", "--sample", "6", "--seeds", "2")
    done = call(*words, "--out", "s.parquet", "--json", *FAST)
    assert done.returncode == 0, done.stderr
    frame = pd.read_parquet(tmp_path / "s.parquet")
    text = "rank_sum(params, -l2_norm, sed)"
    ranks = [frame["params"].rank(), (-frame["l2_norm"]).rank(), frame["sed"].fillna(-1e9).rank()]
    assert frame[text].tolist() == pytest.approx((sum(ranks) / 6).tolist())
    assert (frame["l2_norm.seed0"] != frame["l2_norm.seed1"]).any()
    rows = {row["proxy"]: row for row in json.loads(done.stdout)}
    assert rows["l2_norm"]["seeds"] == rows[text]["seeds"] == 2
    assert rows["params"]["tau_between_seeds"] == pytest.approx(1)
    again = call("evaluate", "s.parquet", "--json")
    assert {row["proxy"]: row for row in json.loads(again.stdout)} == rows


def test_spread_of_one_architecture(call: Call) -> None:
    done = call("score", "l2_norm", "--arch", "5", "--seeds", "3", *FAST)
    assert done.returncode == 0, done.stderr
    head, row = (line.split() for line in done.stdout.splitlines())
    assert head == ["index", "proxy", "mean", "deviation", "seed0", "seed1", "seed2"]
    mean, _, *seeds = map(float, row[2:])
    assert mean == pytest.approx(sum(seeds) / 3, rel=1e-4)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nwot", "--seeds", "0"], 2, "--seeds"),
        (["nwot", "--seeds", "two"], 2, "--seeds"),
        (["rank_sum(nwot, synflw)"], 1, "did you mean synflow"),
        (["rank_sum(nwot, rank_sum(params, sedd))"], 1, "sedd"),
        (["rank_sum(nwot)"], 1, "two or more"),
        (["rank_sum(nwot, nwot)"], 1, "different"),
        (["rank_sum(nwot, synflow"], 1, "brackets"),
        (["rank_sum(nwot, missing.py)"], 1, "missing.py"),
        (["rank_sum(nwot, synflow)", "--arch", "3"], 1, "3 or more"),
    ],
)
def test_mistakes_in_seeds_and_rank_sums_are_one_line(
    call: Call, words: list[str], code: int, says: str
) -> None:
    done = call("score", *words)
    assert done.returncode == code
    (line,) = done.stderr.strip().splitlines()
    assert says in line
