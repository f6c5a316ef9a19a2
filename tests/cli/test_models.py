"""``greenmachine rank`` and ``greenmachine score --model``."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import greenmachine

from .conftest import Call

NETS = """
import sys
from torch import nn

INPUT_SHAPE = (3, 8, 8)

def net(width=4):
    print("this is not JSON")
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36 * width, 4))

def pair(width=4):
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net(width)
        def forward(self, x):
            return {"zeros": x, "logits_of_mine": self.net(x)}
    return Pair()

def leaves():
    sys.exit(0)

def linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
"""
GOOD = ("--model", "nets.py:net", "--model", "nets.py:net(width=7)")


@pytest.fixture(autouse=True)
def nets(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    images = np.random.default_rng(0).normal(size=(6, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "batch.npz", images=images, labels=np.arange(6) % 4)
    np.savez(tmp_path / "other.npz", x=images)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    (tmp_path / "text.npz").write_text("nothing")


@pytest.mark.parametrize("command", ["score", "rank"])
@pytest.mark.parametrize("proxies", [("l2_norm",), ("l2_norm", "synflow", "l2_norm")])
def test_scores_are_those_of_python(command: str, proxies: tuple[str, ...], call: Call) -> None:
    words = (command, *proxies, *GOOD, *GOOD, "--batch", "3", "--seed", "5")
    done = call(*words, "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert set(rows) == set(GOOD[1::2]) and len(json.loads(done.stdout)) == 2
    column = "score" if command == "rank" and len(proxies) == 1 else "l2_norm"
    for text, row in rows.items():
        expected = greenmachine.score(text, "l2_norm", shape=(3, 3, 8, 8), seed=5)
        assert row[column] == pytest.approx(expected, rel=1e-13) and row["failure"] == ""
    frame = pd.read_csv(io.StringIO(call(*words, "--csv").stdout))
    assert frame[column].tolist() == pytest.approx([rows[n][column] for n in frame["name"]])
    table = call(*words).stdout
    assert all(f"{row[column]:.6g}" in table for row in rows.values())
    if command == "rank":
        assert [row["rank"] for row in json.loads(done.stdout)] == [1, 2]


@pytest.mark.parametrize("command", ["score", "rank"])
def test_networks_that_fail_are_named_and_the_others_scored(command: str, call: Call) -> None:
    bad = (
        "--model",
        "nets.py:leaves",
        "--model",
        "no_module_here:net",
        "--model",
        "nets.py:net(a=1)",
    )
    done = call(command, "l2_norm", "synflow", *bad, *GOOD, "--json")
    assert done.returncode == 1
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    for text in bad[1::2]:
        assert rows[text]["l2_norm"] is None and rows[text]["failure"]
        assert any(line.startswith(f"{text}: ") for line in done.stderr.splitlines())
    assert all(rows[text]["l2_norm"] > 0 for text in GOOD[1::2])
    frame = pd.read_csv(
        io.StringIO(call(command, "l2_norm", "synflow", *bad, *GOOD, "--csv").stdout)
    )
    frame = frame.set_index("name")
    assert frame["synflow"].isna().sum() == frame["failure"].notna().sum() == 3
    shown = call(command, "l2_norm", *bad, *GOOD)
    assert "SystemExit" in shown.stderr and "SystemExit" not in shown.stdout
    assert "–" in shown.stdout and "nan" not in shown.stdout and shown.returncode == 1


@pytest.mark.parametrize("command", ["score", "rank"])
def test_a_network_that_one_proxy_cannot_score_counts_as_failed(command: str, call: Call) -> None:
    images = ("--images", "batch.npz")
    done = call(command, "l2_norm", "nwot", *GOOD, "--model", "nets.py:linear", *images, "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert done.returncode == 1 and rows["nets.py:linear"]["nwot"] is None
    assert rows["nets.py:linear"]["l2_norm"] > 0
    assert [line for line in done.stderr.splitlines() if line.startswith("nets.py:linear: nwot")]
    assert "nets.py:net:" not in done.stderr


@pytest.mark.parametrize("command", ["score", "rank"])
@pytest.mark.parametrize("text", ["nets.py", "nets.py:", "nets:net(", "a b:c", "", "nets:net(x)"])
def test_a_text_that_cannot_be_read_is_bad_usage(command: str, text: str, call: Call) -> None:
    done = call(command, "l2_norm", *GOOD, "--model", text)
    assert done.returncode == 2 and done.stdout == "" and "--model" in done.stderr


@pytest.mark.parametrize("command", ["score", "rank"])
def test_exit_code_says_that_nothing_was_scored(command: str, call: Call) -> None:
    done = call(command, "l2_norm", "--model", "nets.py:leaves", "--json")
    assert done.returncode == 1 and json.loads(done.stdout)[0]["failure"] == "SystemExit: 0"


def test_images_of_a_file(call: Call, tmp_path: Path) -> None:
    held = np.load(tmp_path / "batch.npz")
    given = {"images": held["images"], "labels": held["labels"]}
    done = call("score", "snip", "l2_norm", *GOOD, "--images", "batch.npz", "--json")
    assert done.returncode == 0, done.stderr
    for row in json.loads(done.stdout):
        expected = greenmachine.score(row["name"], ["snip", "l2_norm"], **given)
        assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-13)
    assert call("score", "l2_norm", *GOOD, "--images", "images.npy").returncode == 0


@pytest.mark.parametrize("output", ["logits_of_mine", "0"])
def test_output_is_a_key_or_an_index(output: str, call: Call) -> None:
    done = call("score", "synflow", "--model", "nets.py:pair", "--output", output, "--json")
    (row,) = json.loads(done.stdout)
    if output == "0":
        assert "output=0" in row["failure"] and done.returncode == 1
    else:
        assert row["synflow"] > 0 and row["failure"] == ""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("rank", "l2_norm"), "--model"),
        (("score", "l2_norm", "--shape", "3x8x8"), "--model"),
        (("score", "l2_norm", "--images", "batch.npz"), "--model"),
        (("score", "l2_norm", "nets.py:net"), "--model before every network"),
        (("rank", "l2_norm", *GOOD[:2], "torch.nn:Linear(2, 2)"), "--model before every network"),
        (("score", "l2_norm", *GOOD, "--on", "digits-sss"), "--on"),
        (("score", "l2_norm", *GOOD, "--sample", "3"), "--sample"),
        (("score", "l2_norm", *GOOD, "--out", "x.parquet"), "--out"),
        (("score", "l2_norm", *GOOD, "--held-out"), "--held-out"),
        (("score", "l2_norm", *GOOD, "--workers", "2"), "--workers"),
        (("score", "l2_norm", *GOOD, "--json", "--csv"), "--json and --csv"),
        (("rank", "l2_norm", *GOOD, "--json", "--csv"), "--json and --csv"),
        (("rank", "l2_norm", *GOOD, "--device", "gpu"), "--device gpu"),
        (("rank", "l2_norm", *GOOD, "--device", "cuda:99"), "cuda:99"),
        (("rank", "l2_norm", *GOOD, "--shape", "3y8"), "3x32x32"),
        (("rank", "l2_norm", *GOOD, "--shape", "3x0x8"), "3x32x32"),
        (("rank", "l2_norm", *GOOD, "--shape", "3x8x8", "--images", "batch.npz"), "--shape"),
        (("rank", "l2_norm", *GOOD, "--images", "none.npz"), "none.npz"),
        (("rank", "l2_norm", *GOOD, "--images", "other.npz"), "holds x"),
        (("rank", "l2_norm", *GOOD, "--images", "text.npz"), "images"),
        (("rank", "l2_norm", *GOOD, "--images", "objects.npy"), "images"),
        (("rank", "snip", *GOOD), "images and labels"),
        (("rank", "snip", *GOOD, "--images", "images.npy"), "images and labels"),
        (("rank", "sed", *GOOD), "architectures"),
        (("rank", "nwott", *GOOD), "nwot"),
        (("rank", "none.py", *GOOD), "none.py"),
        (("score", "rank_sum(l2_norm, synflow)", *GOOD), "rank"),
        (("rank", "l2_norm", "--model", "nets.py"), "package.module:factory"),
        (("rank", "l2_norm", *GOOD, "--model", "nets:f(__import__('os'))"), "arguments"),
        (("rank", "l2_norm", "--model", "torch.nn:Linear(2, 2)"), "--shape"),
    ],
)
def test_mistakes_are_one_line_that_says_what_to_do(
    words: tuple[str, ...], says: str, call: Call
) -> None:
    done = call(*words)
    assert done.returncode in (1, 2) and done.stdout == ""
    assert done.stderr.startswith("greenmachine: ") and len(done.stderr.splitlines()) == 1
    assert says in done.stderr and "unexpected" not in done.stderr


def test_rank_sums_rank(call: Call) -> None:
    done = call("rank", "log_rank_sum(params, -l2_norm)", *GOOD, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["rank"] for row in rows] == [1, 1]
    assert [row["params rank"] + row["l2_norm rank"] for row in rows] == [3, 3]
