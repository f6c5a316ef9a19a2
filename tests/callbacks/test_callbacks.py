"""Callbacks follow a run, may end it, and cannot lose it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from pydantic import ValidationError
from rich.console import Console

import greenmachine
from greenmachine.callbacks import (
    Callback,
    Callbacks,
    CallbackWarning,
    EarlyStopping,
    Generation,
    Progress,
    RunInfo,
    TensorBoard,
    add_callbacks,
)
from greenmachine.callbacks import progress as progress_module
from greenmachine.config import RunConfig
from greenmachine.errors import ConfigError, RunError

from .conftest import SETTINGS, Noting

pytestmark = pytest.mark.usefixtures("synthetic_data")

TIMES = ["seconds", "energy_kwh", "cache_hits", "cache_misses", "evaluated"]


def evolve(folder: Path, *callbacks: Callback, **changes: Any) -> greenmachine.Result:
    settings = {**SETTINGS, **changes}
    return greenmachine.evolve(settings=settings, out=folder, callbacks=callbacks)


def same(first: greenmachine.Result, second: greenmachine.Result) -> None:
    histories = [r.history.drop(columns=TIMES, errors="ignore") for r in (first, second)]
    pd.testing.assert_frame_equal(*histories)
    assert first.hall_of_fame.equals(second.hall_of_fame)
    assert first.tau == second.tau


def until(folder: Path) -> Any:
    return json.loads((folder / "result.json").read_text())["until"]


# --- a user's own ---------------------------------------------------------------------------


def test_callback_is_called_from_start_to_end(
    unbroken: greenmachine.Result, tmp_path: Path
) -> None:
    noting = Noting()
    same(evolve(tmp_path / "run", noting), unbroken)
    assert [call for call in noting.calls if call.startswith(("start", "generation", "end"))] == [
        "start after 0",
        "generation 0",
        "generation 1",
        "generation 2",
        "end",
    ]
    assert {"capture cifar10 train", "capture cifar10 validation"} <= set(noting.calls)
    assert noting.calls.index("capture cifar10 train") < noting.calls.index("generation 0")
    last = noting.generations[-1]
    assert last.champion.expression == unbroken.best.expression
    assert last.champion.direction == unbroken.best.direction
    assert [row["generation"] for row in last.history] == [0, 1, 2]
    assert until(tmp_path / "run") == {"generations": 2}
    assert json.loads((tmp_path / "run" / "config.json").read_text())["config"]["callbacks"] == []


def test_run_that_a_callback_ends_goes_on_without_it(
    unbroken: greenmachine.Result, tmp_path: Path
) -> None:
    noting = Noting(stop=1)
    result = evolve(tmp_path / "run", noting)
    assert noting.calls[-1] == "end"
    assert "generation 2" not in noting.calls
    assert any("Noting" in call for call in noting.calls)  # who ended it is reported
    assert len(result.history) == 2
    assert until(tmp_path / "run")["callback"]["stop"] == 1
    again = Noting(stop=1)
    assert evolve(tmp_path / "run", again) == result
    assert "generation 1" not in again.calls  # finished: nothing is repeated
    same(evolve(tmp_path / "run"), unbroken)


def test_callback_that_raises_does_not_lose_the_run(
    unbroken: greenmachine.Result, tmp_path: Path
) -> None:
    bad, good = Noting(fail=1), Noting()
    with pytest.warns(CallbackWarning, match=r"Noting.*on_generation.*no disk") as caught:
        result = evolve(tmp_path / "run", bad, good)
    assert len([w for w in caught if w.category is CallbackWarning]) == 1
    same(result, unbroken)
    assert bad.calls[-2:] == ["generation 1", "stopped by ValueError"]
    assert good.calls[-1] == "end"


@pytest.mark.parametrize("method", ["check", "on_start"])
def test_callback_that_cannot_start_ends_the_run_before_capture(
    method: str, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no such server")

    bad = type("Bad", (Callback,), {"__module__": __name__, method: fail})
    before, after = Noting(), Noting()
    with pytest.raises(RunError, match="callback Bad cannot start: OSError: no such server"):
        evolve(tmp_path / "run", before, bad(), after)
    started = ["start after 0", "stopped by RunError"]
    assert before.calls == (started if method == "on_start" else [])
    assert after.calls == []
    assert not (tmp_path / "run" / "signals").exists()


def test_interrupt_closes_callbacks_and_the_run_is_resumed(
    unbroken: greenmachine.Result, tmp_path: Path
) -> None:
    noting = Noting()
    with pytest.raises(KeyboardInterrupt):
        evolve(tmp_path / "run", noting, Noting(interrupt=1))
    assert noting.calls[-2:] == ["generation 1", "stopped by KeyboardInterrupt"]
    again = Noting()
    same(greenmachine.evolve(resume=tmp_path / "run", callbacks=[again]), unbroken)
    calls = [call for call in again.calls if call.startswith(("start", "generation", "end"))]
    assert calls == ["start after 2", "generation 2", "end"]


def test_missing_package_is_one_line_before_anything_is_written(tmp_path: Path) -> None:
    class Elsewhere(TensorBoard, scheme="elsewhere"):
        modules = ("no_such_package",)

    try:
        with pytest.raises(ConfigError, match=r"pip install 'greenmachine\[elsewhere\]'") as caught:
            evolve(tmp_path / "run", Elsewhere())
    finally:
        del Callback.members["elsewhere"]
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


# --- early stopping -------------------------------------------------------------------------


def history(*best: float) -> list[dict[str, float]]:
    return [
        {"generation": n, "best_validation": value, "seconds": 10.0 * (n + 1)}
        for n, value in enumerate(best)
    ]


@pytest.mark.parametrize(
    ("stopping", "best", "ends"),
    [
        (EarlyStopping(patience=2), (0.1, 0.2, 0.2), False),
        (EarlyStopping(patience=2), (0.1, 0.2, 0.2, 0.2), True),
        (EarlyStopping(patience=2), (0.2, 0.1, 0.3), False),
        (EarlyStopping(patience=1), (0.2, 0.3), False),
        (EarlyStopping(patience=1), (0.2, 0.2), True),
        (EarlyStopping(seconds=30), (0.1, 0.2), False),
        (EarlyStopping(seconds=30), (0.1, 0.2, 0.3), True),
        (EarlyStopping(seconds=25, patience=9), (0.1, 0.2, 0.3), True),
    ],
)
def test_early_stopping_ends_by_patience_or_seconds(
    stopping: EarlyStopping, best: tuple[float, ...], ends: bool
) -> None:
    champion: Any = None
    assert stopping.on_generation(Generation(history(*best), champion)) is ends
    assert stopping.on_start(RunInfo({}, Path("run"), "", history(*best))) is ends
    assert stopping.on_start(RunInfo({}, Path("run"), "")) is False


@pytest.mark.parametrize("how", ["whole", "interrupted"])
def test_early_stopping_ends_a_run_that_other_callbacks_continue(
    how: str, unbroken: greenmachine.Result, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    stopping = EarlyStopping(seconds=1e-9)
    if how == "interrupted":  # at its end, so that the end must be seen again
        with pytest.raises(KeyboardInterrupt):
            evolve(folder, stopping, Noting(interrupt=0))
        result = greenmachine.evolve(resume=folder)
    else:
        result = evolve(folder, stopping)
    assert len(result.history) == 1
    assert until(folder) == {"callback": stopping.written()}
    noting = Noting()
    assert greenmachine.evolve(resume=folder, callbacks=[noting]) == result
    assert noting.calls == [f"{folder} is finished"]
    later = [EarlyStopping(patience=50)]
    same(greenmachine.evolve(resume=folder, callbacks=later), unbroken)
    assert until(folder) == {"generations": 2}
    stored = json.loads((folder / "config.json").read_text())["config"]["callbacks"]
    assert stored == [later[0].written()]
    finished = greenmachine.evolve(resume=folder, settings={"callbacks": []})
    assert len(finished.history) == 3


# --- settings -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "[{scheme: early_stopping, patience: 5}, tensorboard]",
        "[tensorboard, progress, {scheme: tensorboard, folder: tb}]",
        "[mlflow, {scheme: wandb, project: mine}]",
        "[]",
    ],
)
def test_callbacks_are_settings(text: str) -> None:
    config = RunConfig.model_validate({"callbacks": yaml.safe_load(text)})
    written = config.model_dump(mode="json")
    assert RunConfig.model_validate(json.loads(json.dumps(written))) == config
    given = [each if isinstance(each, str) else each["scheme"] for each in yaml.safe_load(text)]
    assert [callback.scheme for callback in config.callbacks] == given


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("early_stopping", "patience, seconds"),
        ({"scheme": "early_stopping", "patience": -1}, "patience"),
        ({"scheme": "wandb", "mode": "loud"}, "mode"),
        ("tensorbord", "tensorboard"),
        ({"scheme": "tensorboard", "where": "tb"}, "where"),
    ],
)
def test_wrong_callbacks_are_refused(value: Any, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        RunConfig.model_validate({"callbacks": [value]})


@pytest.mark.parametrize("callbacks", [[3], ["tensorbord"], 3])
def test_what_is_no_callback_is_one_line(callbacks: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="callback") as caught:
        greenmachine.evolve(settings=SETTINGS, out=tmp_path / "run", callbacks=callbacks)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_settings_of_an_unnamed_callback_may_be_anything() -> None:
    class Free(Callback):
        function: Any = None
        limit: float = float("inf")

    written = Callbacks([Free(function=print), Noting(stop=1)]).written()
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert [each["scheme"] for each in written] == ["Free", "Noting"]
    assert written[1]["stop"] == 1


def test_a_new_callback_replaces_those_of_its_class() -> None:
    five, nine, board = EarlyStopping(patience=5), EarlyStopping(patience=9), TensorBoard("tb")
    assert add_callbacks([five, board], [nine]) == (board, nine)
    assert add_callbacks([board], [five]) == (board, five)
    assert add_callbacks([], [Noting(), Progress()])[1] == Progress()


# --- what a person sees ---------------------------------------------------------------------


def shown(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> str:
    """What two generations of an invented run print."""
    console = Console(force_terminal=terminal, width=160, record=True, file=io.StringIO())
    monkeypatch.setattr(progress_module, "_console", lambda: console)
    row = {
        "generation": 0, "best": 0.5, "best_validation": 0.25, "mean": 0.1, "diversity": 1.0,
        "mean_size": 7.5, "cache_hits": 1, "cache_misses": 3, "seconds": 10.0,
    }  # fmt: skip
    rows = [row, {**row, "generation": 1, "seconds": 70.0}]

    class Best:
        expression, direction, size, validation = "sum_layers(weight[0])", -1, 2, 0.25

    settings = {"evolution": {"generations": 3}}
    callbacks = Callbacks([Progress()])
    with callbacks.running(RunInfo(settings, Path("run"), "")):
        callbacks.on_message("a [bold]message")
        for done in range(1, 21):
            callbacks.on_capture("capture", done, 20)
        callbacks.on_generation(Generation(rows[:1], Best()))
        callbacks.on_generation(Generation(rows, Best()))
        callbacks.on_end({})
    return console.export_text()


def test_progress_is_plain_lines_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(False, monkeypatch).splitlines()
    assert lines[0] == "a [bold]message"
    assert len([line for line in lines if line.startswith("capture: ")]) == 10
    assert lines[-1].startswith("generation 1/3  best 0.5000  validation 0.2500")
    assert lines[-1].endswith("cache hits 25%  left 2:00")  # two generations of a minute


def test_progress_is_a_table_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(True, monkeypatch)
    assert "a [bold]message" in text
    assert "- sum_layers(weight[0])" in text
    assert "validation" in text and "2:00" in text
