"""Lists, evaluation, runs on disk, and plots: what people call in a notebook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import greenmachine
from greenmachine.cli.names import listed
from greenmachine.errors import ConfigError, DataError, GreenMachineError, RunError

SETTINGS: dict[str, Any] = {
    "name": "tiny",
    "workers": 1,
    "samples": {"train": {"size": 12}, "validation": {"size": 8}, "test": {"size": 12}},
    "capture.batch": 2,
    "evolution": {"population": 8, "generations": 1, "elites": 1, "hall_of_fame": 3},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> greenmachine.Result:
    folder = tmp_path_factory.mktemp("interface") / "tiny"
    return greenmachine.evolve("digits-tss", settings=SETTINGS, out=folder, seed=1)


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """A score file of the embedded benchmark: the accuracies, and what is known to fail."""
    benchmark = greenmachine.load_benchmark("digits-tss")
    accuracy = benchmark.accuracy("digits")
    frame = pd.DataFrame({"index": np.arange(len(accuracy)), "good": accuracy, "bad": -accuracy})
    frame.loc[0, "good"] = np.nan
    frame.attrs = {"benchmark": "digits-tss", "dataset": "digits", "directions": {"good": 1}}
    path = tmp_path / "scores.parquet"
    frame.to_parquet(path, index=False)
    return path


@pytest.mark.parametrize("kind", ["proxies", "benchmarks", "primitives"])
def test_lists_have_what_the_command_lists(kind: str) -> None:
    frame = getattr(greenmachine, f"list_{kind}")()
    rows = listed(kind)
    assert list(frame.index) == [row["name"] for row in rows]
    for column in set(rows[0]) - {"name"}:
        assert frame[column].tolist() == [row[column] for row in rows]
    text = repr(frame)
    assert max(map(len, text.splitlines())) <= 80 and "\x1b" not in text
    assert rows[0]["name"] in text and rows[0]["name"] in frame._repr_html_()
    assert (frame["description"].str.len() > 0).all()
    assert repr(frame[["origin"]].head(2))  # a part is a data frame like any other


def test_lists_say_what_a_proxy_is() -> None:
    forms = greenmachine.list_proxies()["form"]
    assert forms["nwot"] == "function" and forms["gm_any"] == forms["synflow"] == "expression"
    assert set(forms) == {"function", "expression", "architecture"}


def test_evaluate_says_what_the_command_says(scores: Path) -> None:
    from typer.testing import CliRunner

    from greenmachine.cli.app import app

    table = greenmachine.evaluate(scores)
    printed = CliRunner().invoke(app, ["evaluate", str(scores), "--json"]).stdout
    assert json.loads(table.to_json(orient="records")) == [
        pytest.approx(row, nan_ok=True) for row in json.loads(printed)
    ]
    rows = table.set_index("proxy")
    assert rows.loc["bad", "tau"] == pytest.approx(-1) and rows.loc["good", "failed"] == 1
    some = greenmachine.evaluate([str(scores)], columns=["good"], live=True)
    assert "bad" not in set(some["proxy"]) and some["networks"][0] < table["networks"][0]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"scores": "nowhere.parquet"}, DataError),
        ({"scores": []}, ConfigError),
        ({"columns": "goood"}, ConfigError),
        ({"target": "never"}, DataError),
        ({"on": "no-such-benchmark"}, DataError),
    ],
)
def test_mistakes_of_evaluate_are_one_line(
    arguments: dict[str, Any], error: type[GreenMachineError], scores: Path
) -> None:
    with pytest.raises(error) as raised:
        greenmachine.evaluate(**{"scores": scores, **arguments})
    assert "\n" not in str(raised.value)


def test_runs_are_loaded_and_reported(run: greenmachine.Result, tmp_path: Path) -> None:
    known = greenmachine.load_run(str(run.folder))
    assert known == run and known.tau == run.tau
    assert greenmachine.report(run) == run.folder / "report.html"
    assert run.best.expression in (run.folder / "report.html").read_text()
    both = greenmachine.report([run, run.folder], out=str(tmp_path / "both.html"))
    assert both.read_text().count("tiny") > 1
    for wrong in ([], tmp_path):
        with pytest.raises((ConfigError, RunError)):
            greenmachine.report(wrong)
    with pytest.raises(ConfigError):
        greenmachine.report(run, tmp_path)
    with pytest.raises(RunError):
        greenmachine.load_run(tmp_path)


def test_html_of_a_result_has_its_figures(run: greenmachine.Result) -> None:
    html = run._repr_html_()
    assert run.best.expression in html and f"{run.tau['test']['digits']:.3f}" in html
    assert html.count("<tr>") == 1 + len(run.test)


def test_plots_draw_the_figures_of_the_run_and_leave_matplotlib_alone(
    run: greenmachine.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    monkeypatch.setattr(pyplot, "show", lambda: pytest.fail("a window"))
    before = dict(matplotlib.rcParams)
    history = run.plot_history()
    assert history.lines[0].get_ydata().tolist() == run.history["best"].tolist()
    front = run.plot_front()
    sizes = front.collections[0].get_offsets()[:, 0]
    assert sizes.tolist() == run.equations()["size"].tolist()
    ax = pyplot.subplots()[1]
    assert run.plot_scores(sample="train", ax=ax) is ax
    assert len(ax.collections[0].get_offsets()) == 12
    for axes in (history, front, ax):
        axes.figure.canvas.draw()
        assert axes.get_xlabel() and axes.get_ylabel()
        pyplot.close(axes.figure)
    assert dict(matplotlib.rcParams) == before
    for wrong in ({"task": "cifar10"}, {"sample": "all"}):
        with pytest.raises(ConfigError):
            run.plot_scores(**wrong)


def test_plots_without_matplotlib_say_what_to_install(
    run: greenmachine.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ConfigError, match="pip install"):
        run.plot_history()
