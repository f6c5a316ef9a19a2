"""Whatever goes wrong, a person sees one line that says what; code runs only where it is named."""

from __future__ import annotations

import bz2
import json
from pathlib import Path

import pandas as pd
import pytest

from greenmachine.cli import app as application
from tests.sealed import edit

from .conftest import RUN, Call
from .test_evolve import one_line

pytestmark = pytest.mark.usefixtures("synthetic_data")

SPACE = """
from pathlib import Path
import torch
from torch import nn

INPUT_SHAPE = (6,)
with Path("{ran}").open("a") as file:
    file.write("ran")


class Mute(Exception):
    def __str__(self):
        raise RuntimeError


def build(arch):
    if arch == "5":
        raise SystemExit(3)
    if arch == "6":
        raise Mute
    return nn.Sequential(nn.Linear(6, int(arch)), nn.ReLU(), nn.Linear(int(arch), 2))
"""


@pytest.fixture
def space(tmp_path: Path) -> str:
    """Networks of a user, some of which raise what they like; each run of the file is noted."""
    (tmp_path / "space.py").write_text(SPACE.format(ran=tmp_path / "ran"))
    rows = "".join(f"{width},{20 + width}\n" for width in range(2, 26))
    (tmp_path / "table.csv").write_text("arch,accuracy\n" + rows)
    return "space.py:table.csv"


TINY = ["--set", "evolution.population=6", "--set", "evolution.generations=0", "--set",
        "evolution.elites=1", "--set", "workers=1", "--set", "capture.batch=2"]  # fmt: skip


def test_data_files_run_no_code_that_the_command_does_not_name(
    call: Call, space: str, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    done = call("score", "l2_norm", "--on", space, "--workers", "1", "--out", "s.parquet")
    assert done.returncode == 1  # --sample 100 of 24
    done = call(
        "score", "l2_norm", "--on", space, "--workers", "1", "--sample", "all", "--out", "s.parquet"
    )
    assert done.returncode == 0, done.stderr
    assert "2 of 24 networks failed" in done.stderr
    done = call("evolve", "--on", space, "--out", "run", *TINY)
    assert done.returncode == 0, done.stderr
    ran.unlink()
    for words in (
        ["evaluate", "s.parquet"],
        ["evolve", "--resume", "run"],
        ["evolve", "--resume", "run", "--on", "digits-tss"],
    ):
        done = call(*words)
        assert done.returncode == 1
        assert "--on" in one_line(done.stderr) or "give no others" in done.stderr
    for words in (
        ["export", "run"],
        ["report", "run"],
        ["proxies", "show", "run"],
        ["proxies", "show", "proxy.py"],
    ):
        done = call(*words)
        assert done.returncode == 0, done.stderr
    assert not ran.exists()
    assert call("evaluate", "s.parquet", "--on", space).returncode == 0
    done = call("evolve", "--resume", "run", "--on", space)
    assert done.returncode == 0, done.stderr
    assert ran.exists()


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\x00", b"name: 2020-13-45", b"a: " + b"[" * 3000, b"seed: !!bool maybe",
     b"seed: !!int ''", b"name: !!timestamp x", b"a: &a [*a]", b"[1]", b"seed: 1e400",
     b"name: {a: 1}", b"tasks: &a [*a, *a]", b"? [1, 2]\n: 3", b"1: 2", b"seed: &x\n<<: *x",
     b"name: !!python/object/apply:os.system [true]", b"seed: .nan", b"\x00"],
    ids=str,
)  # fmt: skip
def test_settings_of_any_content_are_one_line(content: bytes, call: Call, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(content)
    done = call("evolve", "x.yaml", "--set", "samples.train.size=0")
    assert done.returncode == 1
    assert "unexpected" not in one_line(done.stderr)


@pytest.mark.parametrize(
    "words",
    [
        ["score", "l2_norm", "--workers", "0"],
        ["score", "l2_norm", "--workers", "1000000000"],
        ["score", "l2_norm", "--batch", "1000000000000"],
        ["score", "l2_norm", "--seed", "100000000000000000000"],
        ["score", "l2_norm", "--sample", "²"],
        ["score", "l2_norm", "--arch", "²"],
        ["score", "l2_norm", "--arch", "9" * 5000],
        ["score", "l2_norm", "--option", "cells=²"],
        ["score", "l2_norm", "--on", "[/bold]"],
        ["score", "[/bold]"],
        ["score", "x" * 100_000],
        ["evolve", "--seed", "100000000000000000000"],
        ["evolve", "--set", "workers=0"],
        ["evolve", "--set", "name=2020-13-45"],
        ["evolve", "--resume", "[/bold]"],
        ["export", "[/bold]"],
        ["evolve", "--out", "x.txt"],
        ["evolve", "--nonsense"],
        ["nonsense"],
        ["forest", "fit", "x.txt", "--train", "²"],
    ],
    ids=lambda words: " ".join(words)[:60],
)
def test_any_bad_word_is_one_line(words: list[str], call: Call, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("mine")
    done = call(*words)
    assert done.returncode in (1, 2)
    line = one_line(done.stderr)
    assert "unexpected" not in line
    assert len(line) < 1000
    assert (tmp_path / "x.txt").read_text() == "mine"


def test_unexpected_error_is_one_line_and_debug_shows_the_rest(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError("by nought\nand more")

    monkeypatch.setattr(application, "keep_freed_memory", broken)
    done = call("proxies", "list")
    assert done.returncode == 1
    assert "ZeroDivisionError" not in one_line(done.stderr) or "--debug" in done.stderr
    shown = call("proxies", "list", "--debug")
    assert shown.returncode == 1
    assert "Traceback" in shown.stderr


def test_markup_in_names_and_paths_is_text(call: Call, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(RUN)
    done = call(
        "evolve", "run.yaml", "--set", "name='[/red] [bold]x'", "--out", "runs/[/red]",
        "--set", "evolution.generations=0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "[/red]" in done.stdout
    done = call("export", "runs/[/red]", "--out", "[bold].py")
    assert done.returncode == 0, done.stderr
    assert "[bold].py" in done.stderr


@pytest.mark.parametrize("name", ["../../x", "/x", "..", "a/b", "x" * 400, "\n"])
def test_name_does_not_lead_out_of_runs(name: str, call: Call, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(RUN)
    done = call(
        "evolve", "run.yaml", "--set", f"name={json.dumps(name)}", "--set", "samples.train.size=3",
        "--set", "samples.validation.size=3", "--set", "samples.test.size=3",
        "--set", "evolution.generations=0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert (folder / "result.json").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"run.yaml", "runs"}


def test_finished_run_is_extended_and_nothing_else_changes(call: Call, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(RUN)
    assert call("evolve", "run.yaml", "--out", "run").returncode == 0
    done = call("evolve", "--resume", "run", "--set", "evolution.generations=2")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "result.json").read_text())["generations"] == 2
    for change in ("selection.size=2", "seed=3", "evolution.generations=1"):
        done = call("evolve", "--resume", "run", "--set", change)
        assert done.returncode == 1
        one_line(done.stderr)


def test_networks_of_the_search_are_told_and_left_out(
    call: Call, run_folder: Path, tmp_path: Path
) -> None:
    samples = json.loads((run_folder / "manifest.json").read_text())["samples"]
    used = {*samples["train"]["nats-tss"], *samples["validation"]["nats-tss"]}
    assert call("export", str(run_folder), "--out", "mine.py").returncode == 0
    words = ["--on", "nats-tss", "--batch", "2", "--option", "cells=1", "--workers", "1"]
    words += ["--sample", "40", "--seed", "4"]
    for proxy in ("mine.py", str(run_folder)):
        for scores in tmp_path.glob("*.parquet"):
            scores.unlink()
        done = call("score", proxy, *words, "--out", "all.parquet")
        assert done.returncode == 0, done.stderr
        assert "--held-out" in done.stderr
        done = call("score", proxy, *words, "--held-out", "--out", "held.parquet")
        assert done.returncode == 0, done.stderr
        assert "--held-out" not in done.stderr
        found = set(pd.read_parquet(tmp_path / "held.parquet")["index"])
        assert len(found) == 40
        assert not found & used
        assert set(pd.read_parquet(tmp_path / "all.parquet")["index"]) & used


def test_hall_of_fame_without_tau_is_one_line(call: Call, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(RUN)
    assert call("evolve", "run.yaml", "--out", "run").returncode == 0
    edit(
        tmp_path / "run" / "checkpoint.json",
        lambda saved: saved["search"]["hall"][0].update(tau={"train": []}),
    )
    done = call("export", "run")
    assert done.returncode == 1
    one_line(done.stderr)


def test_compressed_bomb_is_refused(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "NATS-tss-v1_0-3ffb9-simple"
    folder.mkdir()
    zeros = bz2.compress(bytes(2**22))
    (folder / "meta.pickle.pbz2").write_bytes(zeros * 100)  # 5 kB to 400 MB
    done = call("data", "import-nats", str(folder))
    assert done.returncode == 1
    assert "not an official file" in one_line(done.stderr)


def test_files_of_the_user_are_not_replaced(call: Call, run_folder: Path, tmp_path: Path) -> None:
    for name in ("mine.py", "mine.json", "other.json", "mine.parquet"):
        (tmp_path / name).write_text("mine")
    fast = ["l2_norm", "--on", "nats-tss", "--sample", "4", "--batch", "2", "--workers", "1"]
    for words in (
        ["export", str(run_folder), "--out", "mine.py"],
        ["export", str(run_folder), "--out", "other.py"],
        ["score", *fast, "--out", "mine.parquet"],
    ):
        done = call(*words)
        assert done.returncode == 1
        assert "choose another --out" in one_line(done.stderr)
    assert {path.read_text() for path in tmp_path.glob("*.*")} == {"mine"}
    for _ in range(2):  # what we wrote is ours
        assert call("export", str(run_folder), "--out", "ours.py").returncode == 0
        assert call("score", *fast, "--out", "ours.parquet").returncode == 0


@pytest.mark.parametrize("command", ["score", "rank", "search"])
@pytest.mark.parametrize(
    "proxy", ["-synflow", "-az_nas", "-params", "-sum_layers(l2_norm(weight))"]
)
@pytest.mark.parametrize("dashes", [(), ("--",)])
def test_a_minus_before_a_proxy_says_where_it_is_allowed(
    dashes: tuple[str, ...], proxy: str, command: str, call: Call
) -> None:
    models = ("--model", "torch.nn:Conv2d(3, 4, 3)") if command == "rank" else ()
    done = call(command, *models, *dashes, proxy)
    assert done.returncode == (1 if dashes else 2) and done.stdout == ""
    assert one_line(done.stderr) and "rank_sum(a, -b)" in done.stderr


@pytest.mark.parametrize("word", ["-x", "-seed", "--synflow"])
def test_other_options_that_are_unknown_are_named(word: str, call: Call) -> None:
    done = call("score", "l2_norm", word)
    assert done.returncode in (1, 2) and "No such option" in done.stderr
