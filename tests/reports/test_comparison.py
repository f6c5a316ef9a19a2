"""Runs beside each other."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from greenmachine.errors import ConfigError, RunError
from greenmachine.reports import differing_settings, write_comparison
from greenmachine.reports.vega import colour
from tests.sealed import edit

from .conftest import Page, marks

DIFFER = ("p", "id", "differ")


def test_two_runs_beside_each_other(runs: dict[str, Path], tmp_path: Path) -> None:
    page = Page(write_comparison(list(runs.values()), tmp_path / "both.html"))
    page.assert_alone()
    assert page.ids == ["runs", "settings", "tau", "convergence", "champions"]
    assert DIFFER in page.attributes  # another seed, other samples
    result = json.loads((runs["finished"] / "result.json").read_text())
    for dataset in ("cifar10", "cifar100"):
        rows = [result[sample][dataset]["champion"] for sample in ("train", "validation", "test")]
        cells = [f"{row['tau']:.3f} ± {row['standard_error']:.3f}" for row in rows]
        baselines = {k: v["tau"] for k, v in result["test"][dataset].items() if k != "champion"}
        best = max(baselines, key=lambda name: baselines[name])
        error = result["test"][dataset][best]["standard_error"]
        last = f"{baselines[best]:.3f} ± {error:.3f}, {best}"
        size = f"{result['best']['size']} nodes"
        assert ["finished", dataset, size, *cells, last] in page.rows
    assert "1 of 2, unfinished" in [row[4] for row in page.rows if row[0] == "stopped"]
    for folder in runs.values():
        hall = json.loads((folder / "hall_of_fame.json").read_text())
        assert hall[0]["expression"] in page.text
    assert "kWh" not in page.text


def test_settings_that_differ_are_shown(runs: dict[str, Path], tmp_path: Path) -> None:
    page = Page(write_comparison(list(runs.values()), tmp_path / "both.html"))
    configs = [json.loads((f / "config.json").read_text())["config"] for f in runs.values()]
    differing = differing_settings(configs)
    assert differing["seed"] == [str(config["seed"]) for config in configs]
    for key, values in differing.items():
        assert [key, *values] in page.rows
    same = {key for key in configs[0] if all(c[key] == configs[0][key] for c in configs)}
    assert same and not same & {key.partition(".")[0] for key in differing}
    alone = Page(write_comparison([runs["finished"]] * 2, tmp_path / "one.html"))
    assert "settings" in alone.ids and "seed" not in [row[0] for row in alone.rows]


def test_settings_of_other_parts_and_long_lists_differ() -> None:
    first = {"seed": 1, "selection": {"scheme": "tournament", "size": 3}, "long": [*range(20)]}
    second = {"seed": 1, "selection": {"scheme": "lexicase"}, "long": [*range(1, 21)]}
    found = differing_settings([first, second, first])
    assert found == {
        "selection.scheme": ["tournament", "lexicase", "tournament"],
        "selection.size": ["3", "", "3"],
        "long": ["20 values, as run 1", "20 values, as run 2", "20 values, as run 1"],
    }
    assert differing_settings([first, first]) == {}


def test_curves_are_the_histories(runs: dict[str, Path], tmp_path: Path) -> None:
    page = Page(write_comparison(list(runs.values()), tmp_path / "both.html"))
    table = pd.DataFrame(page.data["comparison"])
    for label, folder in runs.items():
        history = pd.read_csv(folder / "history.csv")
        for sample, column in (("train", "best"), ("validation", "best_validation")):
            curve = table[(table["run"] == label) & (table["sample"] == sample)]
            assert curve["generation"].tolist() == history["generation"].tolist()
            assert curve["fitness"].tolist() == pytest.approx(history[column].tolist(), rel=1e-6)
    ((title, _),) = page.charts
    lines = marks(page.draw(title), "line")
    assert Counter(line.get("stroke") for line in lines) == {colour(0): 2, colour(1): 2}


def test_runs_of_one_name_and_energy(runs: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "finished"
    shutil.copytree(runs["finished"], other, ignore=shutil.ignore_patterns("signals"))
    edit(
        other / "checkpoint.json",
        lambda saved: [row.update(energy_kwh=0.25) for row in saved["history"]],
    )
    page = Page(write_comparison([runs["finished"], other], tmp_path / "both.html"))
    assert [row[0] for row in page.rows if "0.25 kWh" in row] == [str(other)]
    assert str(runs["finished"]) in page.text
    assert DIFFER not in page.attributes
    page = Page(write_comparison([other, other], tmp_path / "both.html"))
    assert f"2: {other}" in page.text


def test_folder_name_cannot_break_out(runs: dict[str, Path], tmp_path: Path) -> None:
    name = """<img src=x onerror=alert(1)>{{ 7 * 7 }}"'"""
    shutil.copytree(runs["finished"], tmp_path / name, ignore=shutil.ignore_patterns("signals"))
    folders = [runs["finished"], tmp_path / name]
    page = Page(write_comparison(folders, tmp_path / "both.html"))
    page.assert_alone()
    assert name in page.text
    assert set(page.data["comparison"]["run"]) == {"finished", name}


def test_what_cannot_be_compared(runs: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "both.html"
    with pytest.raises(ConfigError, match="two runs"):
        write_comparison([runs["finished"]], out)
    with pytest.raises(RunError, match="holds no run"):
        write_comparison([runs["finished"], tmp_path], out)
    assert not out.exists()
