"""``greenmachine list``: everything that has a name, with its origin."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from greenmachine.cli.listing import Listed
from greenmachine.primitives import vocabulary
from greenmachine.selection import Selection
from greenmachine.signals.registry import PASSES

from .conftest import Call

PLUGIN = Path(__file__).parents[2] / "examples" / "plugin" / "sparsity.py"
LINE = "from greenmachine.cli import main; main()"


@pytest.mark.parametrize("what", Listed)
def test_every_row_has_a_name_and_an_origin(what: Listed, call: Call) -> None:
    done = call("list", what.value, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert len({row["name"] for row in rows}) == len(rows) > 1
    assert all(row["origin"] for row in rows)
    shown = call("list", what.value)
    assert all(row["name"] in shown.stdout for row in rows)


def test_rows_are_those_of_the_registries(call: Call) -> None:
    def names(what: str) -> list[str]:
        return [row["name"] for row in json.loads(call("list", what, "--json").stdout)]

    assert {item.name for item in vocabulary} >= set(names("primitives"))
    assert set(PASSES) >= set(names("passes"))
    assert set(Selection.members) >= set(names("selections"))


def test_a_plugins_words_are_listed_as_its(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LINE, "list", "primitives", "--json", "--plugin", str(PLUGIN)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["hoyer_sparsity"]["origin"] == PLUGIN.name
    assert rows["sum_layers"]["origin"] == "greenmachine"
