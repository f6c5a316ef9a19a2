"""A search that was stopped or killed continues, and finds what an uninterrupted one finds."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import optuna
import pandas as pd
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._storage import JournalStorageReplayResult
from optuna.trial import TrialState

import greenmachine
from greenmachine.errors import ConfigError
from greenmachine.search import study
from greenmachine.search.result import SearchResult
from greenmachine.search.samplers import RegularisedEvolution


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2", "evolution"])
@pytest.mark.parametrize("stop", [(7, 16)])
def test_a_stopped_search_finds_what_the_unbroken_one_finds(
    sampler: str, stop: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(folder: Path | None) -> SearchResult:
        return greenmachine.search_networks(
            "flops",
            on="digits-sss",
            constraints="params>=3000",
            trials=24,
            sampler=sampler,
            seed=3,
            ask=4,
            out=folder,
        )

    monkeypatch.setattr(RegularisedEvolution.__init__, "__defaults__", (8, 4, 0))
    whole = run(None)
    import greenmachine.search.evaluator as module

    score = module.score_arch
    for moment in stop:
        calls = count()

        def interrupted(*task: object, at: int = moment, calls: Iterator[int] = calls) -> object:
            if next(calls) == at:
                raise KeyboardInterrupt
            return score(*task)

        monkeypatch.setattr(module, "score_arch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "out")
    monkeypatch.setattr(module, "score_arch", score)
    pd.testing.assert_frame_equal(run(tmp_path / "out").trials, whole.trials)


class _Killed(BaseException):
    """The process would have ended here."""


@pytest.mark.parametrize("how", ["interrupted", "interrupted in reading", "killed"])
def test_it_goes_on_wherever_it_was_stopped(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(folder: Path | None) -> pd.DataFrame:
        result = greenmachine.search_networks(
            "flops", on="digits-sss", trials=4, sampler="random", seed=3, ask=2, out=folder
        )
        return result.trials

    write, read = JournalFileBackend.append_logs, JournalStorageReplayResult._apply_create_trial
    whole, left = run(None), 0

    def stop() -> None:
        nonlocal left
        left -= 1
        if left == 0 and how != "killed":
            os.kill(os.getpid(), signal.SIGINT)

    def writing(backend: JournalFileBackend, logs: list[dict[str, object]]) -> None:
        if left <= 0 and how == "killed":
            raise _Killed
        write(backend, logs)
        if how != "interrupted in reading":
            stop()

    def reading(replay: JournalStorageReplayResult, log: dict[str, object]) -> None:
        if how == "interrupted in reading":
            stop()
        read(replay, log)

    stops = 0
    for moment in count(1):
        folder = tmp_path / str(moment)
        with monkeypatch.context() as patched:
            patched.setattr(JournalFileBackend, "append_logs", writing)
            patched.setattr(JournalStorageReplayResult, "_apply_create_trial", reading)
            if how == "killed":
                patched.setattr(study, "this_process", lambda: f"{platform.node()} 4194304 0")
            left = moment
            try:
                run(folder)
            except (KeyboardInterrupt, _Killed):
                stops += 1
            if left > 0:
                break
        # A batch is stored as a whole, so that samplers that learn from it see it as a whole.
        kept = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
        trials = [t for each in kept.get_all_studies() for t in kept.get_all_trials(each._study_id)]
        assert sum(trial.state == TrialState.COMPLETE for trial in trials) in (0, 2, 4)
        pd.testing.assert_frame_equal(run(folder), whole, obj=f"stopped at {moment}")
    assert stops >= 4


@pytest.mark.parametrize("end", ["half of a line", "a lock of Optuna"])
def test_what_a_killed_process_leaves_behind_does_not_matter(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a relative path: Optuna's lock would point to nothing

    def run(trials: int, out: str) -> pd.DataFrame:
        return greenmachine.search_networks(
            "flops", on="digits-sss", trials=trials, sampler="random", out=out
        ).trials

    run(10, "found")
    journal = tmp_path / "found" / "study.journal"
    if end == "half of a line":
        with journal.open("ab") as file:
            file.write(b'{"op_code": 4, "wor')
    else:
        Path(f"{journal}.lock").symlink_to("found/study.journal")
    pd.testing.assert_frame_equal(run(20, "found"), run(20, "whole"))


@pytest.mark.slow
def test_two_processes_share_one_storage(space: Path, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/study.db"
    code = (
        "import greenmachine, sys; greenmachine.search_networks('nwot_inputs', "
        "on=sys.argv[1], trials=30, "
        "sampler='random', ask=3, storage=sys.argv[2])"
    )
    command = [sys.executable, "-c", code, str(space), storage]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    study = optuna.load_study(study_name="greenmachine", storage=storage)
    owners = {trial.user_attrs["owner"] for trial in study.trials}
    assert sum(t.state.name == "COMPLETE" for t in study.trials) >= 30
    assert len(owners) == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_command_goes_on(number: int, space: Path, tmp_path: Path) -> None:
    words = f"search nwot_inputs --on {space} --trials 40 --ask 2 --workers 1".split()
    command = [sys.executable, "-m", "greenmachine", *words]

    def run(out: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*command, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    killed = run(tmp_path / "killed")
    journal = tmp_path / "killed" / "study.journal"
    while not journal.exists() or journal.read_bytes().count(b"\n") < 80:
        assert killed.poll() is None
        time.sleep(0.02)
    os.kill(killed.pid, number)
    assert killed.wait(60) in (143, -9)
    for out in ("killed", "whole"):
        assert run(tmp_path / out).wait(120) == 0
    tables = [pd.read_parquet(tmp_path / out / "trials.parquet") for out in ("killed", "whole")]
    pd.testing.assert_frame_equal(*tables)
    assert (tables[0]["state"] == "scored").sum() == 40


def test_another_search_does_not_go_on_in_a_study(space: Path, tmp_path: Path) -> None:
    settings = {"on": str(space), "trials": 3, "out": tmp_path / "out"}
    greenmachine.search_networks("params", **settings)
    with pytest.raises(ConfigError):
        greenmachine.search_networks("params", seed=1, **settings)
    with pytest.raises(ConfigError):
        greenmachine.search_networks("flops", **settings)
    more = greenmachine.search_networks("params", **{**settings, "trials": 5})
    assert len(more.trials) == 5
