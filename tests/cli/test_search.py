"""``greenmachine search``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from greenmachine.cli.display import print_frame, print_ranking

from .conftest import Call

SPACE = """
from torch import nn

INPUT_SHAPE = (3, 8, 8)


def suggest(trial):
    return str(trial.suggest_int("width", 1, 6))


def build(arch):
    return nn.Conv2d(3, int(arch), 3)
"""


@pytest.fixture
def space(tmp_path: Path) -> str:
    """A space of six networks, three of which have an accuracy."""
    pytest.importorskip("optuna")
    (tmp_path / "space.py").write_text(SPACE)
    (tmp_path / "space.csv").write_text("arch,accuracy\n1,10\n3,30\n5,20\n")
    return "space.py:space.csv"


@pytest.mark.parametrize("objectives", [("l2_norm",), ("l2_norm", "params"), ("max:accuracy",)])
def test_networks_without_an_accuracy_show_a_dash(
    objectives: tuple[str, ...], space: str, call: Call, tmp_path: Path
) -> None:
    words = ("search", *objectives, "--on", space, "--sampler", "exhaustive", "--workers", "1")
    done = call(*words, "--out", "out", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["arch"]: row for row in json.loads(done.stdout)}
    unknown = [row for arch, row in rows.items() if arch in "246"]
    assert len(unknown) == (0 if "max:accuracy" in objectives else 3)
    assert all(row["accuracy"] is row["rank"] is row["regret"] is None for row in unknown)
    assert rows["3"]["accuracy"] == 30 and rows["3"]["rank"] == 1
    shown = call(*words, "--out", "out")
    assert "nan" not in shown.stdout.lower() and ("–" in shown.stdout) == bool(unknown)
    assert "nan" not in (tmp_path / "out" / "trials.csv").read_text().lower()
    json.loads((tmp_path / "out" / "result.json").read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA, pd.NaT])
def test_a_missing_value_is_a_dash_or_null(
    missing: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.DataFrame({"name": ["a", "b"], "value": [1.5, missing], "text": ["x", missing]})
    print_frame(frame)
    assert capsys.readouterr().out.splitlines()[-1].split() == ["b", "–", "–"]
    print_frame(frame, as_json=True)
    assert json.loads(capsys.readouterr().out)[1] == {"name": "b", "value": None, "text": None}


def test_a_proxy_that_failed_everywhere_is_printed_without_nan(
    capsys: pytest.CaptureFixture[str],
) -> None:
    numbers = ("tau", "standard_error", "spearman", "ndcg", "tau_best", "standard_error_best")
    row = {"proxy": "mine", "direction": 1, "networks": 3, "failed": 3}
    print_ranking(pd.DataFrame([{**row, **dict.fromkeys(numbers, np.nan)}]))
    out = capsys.readouterr().out
    assert "nan" not in out and out.splitlines()[-1].count("–") == 4


@pytest.mark.parametrize("text", ["\x1b[31mred", "two\nlines", "\x07bell", "[red]markup[/red]"])
def test_names_cannot_control_the_terminal(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_frame(pd.DataFrame({text: [1.0], "name": [text]}))
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 2 and "\x1b" not in out and "\x07" not in out
    assert out.count(text) == (2 if text.isprintable() else 0)


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "cuda:x", "tpu"])
def test_a_device_that_is_not_there_is_refused_before_work(
    device: str, space: str, call: Call
) -> None:
    done = call("search", "params", "--on", space, "--out", "out", "--device", device)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and device in done.stderr
