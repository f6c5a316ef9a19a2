"""``greenmachine evolve``, ``export`` and ``report`` as a user types them, on invented tables."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .conftest import RUN, Call, command

pytestmark = pytest.mark.usefixtures("synthetic_data")


def one_line(text: str) -> str:
    """The only line of an error message; no traceback."""
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) == 1, text
    return lines[0]


def test_evolve_ends_with_champion_trivial_rows_and_next_command(run_folder: Path) -> None:
    printed = (run_folder.parent / "printed.txt").read_text()
    result = json.loads((run_folder / "result.json").read_text())
    assert result["best"]["expression"] in printed
    for row in ("champion", "params", "flops", "convolutions"):
        assert row in printed
    assert "greenmachine export tiny --out proxy.py" in printed


def test_evolve_json_prints_the_result_alone(call: Call, run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(RUN)
    done = call("evolve", "run.yaml", "--json", "--set", "seed=1")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    printed = json.loads(done.stdout)
    assert printed["best"] == json.loads((run_folder / "result.json").read_text())["best"]
    assert (tmp_path / "runs" / "tiny-1" / "result.json").exists()


def test_on_names_benchmark_data_set_and_folder(call: Call, tmp_path: Path) -> None:
    small = "{train: {size: 8}, validation: {size: 4}, test: {size: 4}}"
    words = ["workers=1", f"samples={small}", "capture.batch=2", "passes=[ones]"]
    words += ["evolution.population=4", "evolution.generations=0", "evolution.elites=1"]
    changes = [word for change in words for word in ("--set", change)]
    done = call("evolve", "--on", "nats-sss", *changes, "--seed", "5")
    assert done.returncode == 0, done.stderr
    assert "Kendall's tau on nats-sss cifar10" in done.stdout
    assert "greenmachine export runs/nats-sss-5 --out proxy.py" in done.stdout
    assert "generation 0/0" in done.stderr
    config = json.loads((tmp_path / "runs" / "nats-sss-5" / "config.json").read_text())["config"]
    assert (config["name"], config["tasks"]) == ("nats-sss", ["nats-sss/cifar10"])


def test_callbacks_are_given_stored_and_replaced(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    (tmp_path / "run.yaml").write_text(RUN + "callbacks: [tensorboard]")
    stop = ["--callback", "{scheme: early_stopping, seconds: 1.0e-9}"]
    done = call("evolve", "run.yaml", "--out", "run", *stop)
    assert done.returncode == 0, done.stderr
    assert "early_stopping ended" in done.stderr
    assert list((tmp_path / "run" / "tensorboard").iterdir())

    def stored() -> list[str]:
        config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
        return [callback["scheme"] for callback in config["callbacks"]]

    assert stored() == ["tensorboard", "early_stopping"]
    assert "is finished" in call("evolve", "--resume", "run").stderr
    done = call("evolve", "--resume", "run", "--set", "callbacks=[]")
    assert "generation 1/1" in done.stderr
    assert stored() == []


def test_failing_callback_is_one_line(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("greenmachine.callbacks.TensorBoard.log", full)
    (tmp_path / "run.yaml").write_text(RUN)
    done = call("evolve", "run.yaml", "--out", "run", "--callback", "tensorboard", "--json")
    assert done.returncode == 0
    assert "tensorboard" in one_line(done.stderr) and "disk full" in one_line(done.stderr)
    assert json.loads(done.stdout)["generations"] == 1


def test_signals_end_a_run_with_the_line_to_go_on(run_folder: Path, tmp_path: Path) -> None:
    """Real signals in capture and in evolution."""
    (tmp_path / "run.yaml").write_text(RUN)
    words = ["evolve", "run.yaml", "--out", "broken", "--set", "evolution.generations=30"]

    def written(path: Path) -> int:
        return path.stat().st_mtime_ns if path.exists() else 0

    def until(path: Path, words: list[str], number: signal.Signals) -> None:
        before = written(path)
        process = subprocess.Popen(
            command(*words),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 120
        while written(path) == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 128 + number, errors
        assert "--resume broken" in errors
        assert "Traceback" not in errors

    signals = tmp_path / "broken" / "signals" / "cifar10-train"
    until(signals / "shard-0000.json", words, signal.SIGTERM)
    assert not (tmp_path / "broken" / "checkpoint.json").exists()
    resume = ["evolve", "--resume", "broken"]
    until(tmp_path / "broken" / "checkpoint.json", resume, signal.SIGHUP)
    until(tmp_path / "broken" / "checkpoint.json", resume, signal.SIGINT)
    saved = json.loads((tmp_path / "broken" / "checkpoint.json").read_text())
    assert saved["search"]["generation"] < 30
    assert not list((tmp_path / "broken").rglob("*.tmp"))


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_to_the_whole_group_leave_nothing(
    number: signal.Signals, times: int, tmp_path: Path
) -> None:
    (tmp_path / "run.yaml").write_text(RUN)
    samples = "samples={train: {size: 40}, validation: {size: 30}, test: {size: 12}}"
    words = ["evolve", "run.yaml", "--workers", "2", "--out", "run", "--set", samples]
    process = subprocess.Popen(
        command(*words), cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.rglob("shard-*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    for _ in range(times):
        os.killpg(process.pid, number)
        time.sleep(0.2)
    _, errors = process.communicate(timeout=60)
    # A second signal may meet an interpreter that is closing down, and end it as the system does:
    # a shell says 128 + number of both.
    endings = (128 + number, -number) if times > 1 else (128 + number,)
    assert process.returncode in endings, errors
    said = [line for line in errors.splitlines() if line.startswith("greenmachine: ")]
    assert len(said) == 1 and "--resume run" in said[0], errors
    if times > 1:
        return  # the process ended at once: what its workers still say is theirs
    assert "Traceback" not in errors and "resource_tracker" not in errors
    time.sleep(2)
    assert not [name for name in os.listdir("/dev/shm") if str(process.pid) in name]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["evolve", "missing.yaml"], "cannot read missing.yaml"),
        (["evolve", "bad.yaml"], "is not YAML"),
        (["evolve", "list.yaml"], "key: value"),
        (["evolve", "--set", "evolution.populaton=9"], "evolution.populaton: there is no such"),
        (["evolve", "--set", "evolution.population=two"], "evolution.population"),
        (["evolve", "--set", "seed"], "KEY=VALUE"),
        (["evolve", "--set", "passes=[sound]"], "passes"),
        (["evolve", "--set", "seed=[1"], "is not a YAML value"),
        (["evolve", "--set", "tasks=nats-xyz"], "nats-tss"),
        (["evolve", "--on", "nats-xyz"], "nats-tss"),
        (["evolve", "--on", "digits-tss", "--on", "nats-xyz"], "no benchmark 'nats-xyz'"),
        (["evolve", "--set", "evolution.seeds=[nwott]"], "unknown proxy 'nwott'"),
        (["evolve", "--callback", "tensorbord"], "tensorboard"),
        (["evolve", "--callback", "early_stopping"], "patience"),
        (["evolve", "--callback", "{scheme: early_stopping, patience: x}"], "patience"),
        (["evolve", "--callback", "{scheme: [1"], "is not a YAML value"),
        (["evolve", "--callback", "3"], "scheme"),
        (["evolve", "--set", "callbacks=[tensorbord]"], "tensorboard"),
        (["evolve", "--resume", "nowhere"], "holds no run"),
        (["evolve", "--resume", "nowhere", "--seed", "1"], "give no others"),
        (["evolve", "--resume", "nowhere", "--on", "nats-tss"], "holds no run"),
        (["export", "nowhere"], "holds no run"),
        (["export", "nowhere", "--out", "proxy.txt"], "must end in .py"),
        (["report", "nowhere"], "nowhere holds no run"),
        (["report", "nowhere", "neither"], "put --compare before them"),
        (["report", "--compare", "nowhere"], "two runs"),
        (["report", "nowhere", "--out", "."], "give an HTML file"),
    ],
)
def test_bad_usage_is_one_line(call: Call, words: list[str], says: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("a: [1")
    (tmp_path / "list.yaml").write_text("- 1")
    done = call(*words)
    assert done.returncode == 1
    assert says in one_line(done.stderr)
    assert done.stdout == ""


def test_missing_data_names_the_command_that_makes_it(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREENMACHINE_DATA", str(tmp_path / "nothing"))
    done = call("evolve", "--on", "nats-tss")
    assert done.returncode == 1
    assert "greenmachine data import-nats" in one_line(done.stderr)


def test_unknown_option_is_bad_usage(call: Call, tmp_path: Path) -> None:
    assert call("evolve", "--populaton", "3").returncode == 2


@pytest.mark.parametrize("command", ["evolve", "export", "report", "score", "proxies", "data"])
def test_help_has_an_example(call: Call, command: str, tmp_path: Path) -> None:
    done = call(command, "--help")
    assert done.returncode == 0
    assert f"greenmachine {command}" in done.stdout


def test_export_writes_proxy_and_facts(call: Call, run_folder: Path, tmp_path: Path) -> None:
    done = call("export", str(run_folder), "--out", str(tmp_path / "mine.py"))
    assert done.returncode == 0, done.stderr
    known = json.loads((tmp_path / "mine.json").read_text())
    result = json.loads((run_folder / "result.json").read_text())
    assert known["expression"] == result["best"]["expression"]
    assert known["tau"]["test"] == result["test"]
    assert known["manifest"]["seed"] == 1
    scored = call(
        "score", "mine.py", str(run_folder), "--arch", "3", "--json", "--batch", "2",
        "--option", "cells=1"
    )  # fmt: skip
    (row,) = json.loads(scored.stdout)
    assert row["mine"] == row["tiny"]


def test_export_of_a_rank_that_is_not_there(call: Call, run_folder: Path, tmp_path: Path) -> None:
    done = call("export", str(run_folder), "--rank", "999")
    assert done.returncode == 1
    assert "hall of fame" in one_line(done.stderr)


def test_report_goes_into_the_folder(call: Call, run_folder: Path) -> None:
    done = call("report", str(run_folder))
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"{run_folder}/report.html: open it in a browser\n"
    assert "<h1>tiny</h1>" in (run_folder / "report.html").read_text(encoding="utf-8")


def test_comparison_goes_where_it_is_wanted(call: Call, run_folder: Path, tmp_path: Path) -> None:
    two = [str(run_folder), str(run_folder)]
    assert call("report", "--compare", *two).returncode == 0
    assert call("report", *two, "--compare", "--out", "two.html").returncode == 0
    assert (tmp_path / "comparison.html").read_text() == (tmp_path / "two.html").read_text()
