"""Runs beside each other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from greenmachine.errors import ConfigError, RunError
from greenmachine.reports import write_comparison
from tests.sealed import edit

from .conftest import Page

DIFFER = "not judged on the same networks"


def test_two_runs_beside_each_other(runs: dict[str, Path], tmp_path: Path) -> None:
    page = Page(write_comparison(list(runs.values()), tmp_path / "both.html"))
    page.assert_alone()
    assert page.ids == ["runs", "tau", "convergence", "champions"]
    assert DIFFER in page.text  # another seed, other samples
    result = json.loads((runs["finished"] / "result.json").read_text())
    for dataset in ("cifar10", "cifar100"):
        rows = [result[sample][dataset]["champion"] for sample in ("train", "validation", "test")]
        cells = "".join(f"{row['tau']:.3f} ± {row['standard_error']:.3f}" for row in rows)
        assert f"finished{dataset}{result['best']['size']} nodes{cells}" in page.text
        trivial = {k: v["tau"] for k, v in result["test"][dataset].items() if k != "champion"}
        best = max(trivial, key=lambda name: trivial[name])
        error = result["test"][dataset][best]["standard_error"]
        assert f"{cells}{trivial[best]:.3f} ± {error:.3f}, {best}" in page.text
    assert "1 of 2, unfinished" in page.text
    for folder in runs.values():
        hall = json.loads((folder / "hall_of_fame.json").read_text())
        assert hall[0]["expression"] in page.text
    (chart,) = page.svgs
    lines = [p for p in chart if p.tag == "path" and "line" in (p.get("class") or "")]
    assert [line.get("class") for line in lines] == [
        "line c0",
        "line c0 dashed",
        "line c1",
        "line c1 dashed",
    ]
    assert "kWh" not in page.text


def test_runs_of_one_name_and_energy(runs: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "finished"
    shutil.copytree(runs["finished"], other, ignore=shutil.ignore_patterns("signals"))
    edit(
        other / "checkpoint.json",
        lambda saved: [row.update(energy_kwh=0.25) for row in saved["history"]],
    )
    page = Page(write_comparison([runs["finished"], other], tmp_path / "both.html"))
    assert str(runs["finished"]) in page.text
    assert str(other) in page.text
    assert "0.25 kWh" in page.text
    assert DIFFER not in page.text
    page = Page(write_comparison([other, other], tmp_path / "both.html"))
    assert f"2: {other}" in page.text


def test_what_cannot_be_compared(runs: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "both.html"
    with pytest.raises(ConfigError, match="two runs or more"):
        write_comparison([runs["finished"]], out)
    with pytest.raises(RunError, match="holds no run"):
        write_comparison([runs["finished"], tmp_path], out)
    assert not out.exists()
