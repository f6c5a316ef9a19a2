"""Progress where a person watches: in the output of a notebook's cell."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from greenmachine.live import bar, watched
from tests.notebooks import execute

CELLS = (
    "import greenmachine as gm",
    "settings = {'evolution': {'generations': 1, 'population': 8, 'elites': 1}, 'workers': 1,\n"
    "  'capture.batch': 2,\n"
    "  'samples': {sample: {'size': 12} for sample in ('train', 'validation', 'test')}}\n"
    "gm.evolve(settings=settings, out='run', seed=1)",
    "gm.evolve(settings=settings, out='silent', seed=1, verbose=False)",
    "gm.search_networks(lambda arch: len(arch), trials=12)",
    "gm.list_proxies().head(2)",
    "gm.load_run('run').plot_history()",
)


@pytest.mark.slow
def test_a_notebook_shows_progress_and_results(tmp_path: Any, monkeypatch: Any) -> None:
    pytest.importorskip("nbclient", reason="pip install -e '.[notebook-tests]'")
    pytest.importorskip("ipykernel")
    pytest.importorskip("optuna")
    pytest.importorskip("matplotlib")
    from nbformat.v4 import new_code_cell, new_notebook

    notebook = new_notebook(cells=[new_code_cell(source) for source in CELLS])
    execute(notebook, tmp_path, monkeypatch)
    html = [
        [each.data["text/html"] for each in cell.outputs if "text/html" in each.get("data", {})]
        for cell in notebook.cells
    ]
    assert not [each for cell in notebook.cells for each in cell.outputs if "text" in each], (
        "warnings, or lines that a progress bar replaces"
    )
    run, silent, search, listed = html[1:5]
    assert "generation" in run[0] and "1/1" in run[0]  # the live table, in its last state
    assert "champion" in run[-1] and len(silent) == 1
    assert "12/12" in search[0]
    assert "params" in listed[-1] and len(listed) == 1
    assert any("image/png" in each.get("data", {}) for each in notebook.cells[5].outputs)


def test_nothing_is_drawn_where_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    error = io.StringIO()
    monkeypatch.setattr(sys, "stderr", error)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert not watched()
    with bar("networks") as told:
        told(1, 2)
    assert error.getvalue() == ""
