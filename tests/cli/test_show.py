"""``greenmachine show``: formulas of names, expressions, files and runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from greenmachine.evolution import RunFolder
from greenmachine.evolution.equations import equations
from greenmachine.export import write_export
from greenmachine.language import Expression, latex, parse, symbolic, tree_of

from .conftest import Call

MECO = "sum_layers(min_eigenvalue(channel_correlation(noise_input)))"


@pytest.mark.parametrize(
    ("option", "form"),
    [("--latex", latex), ("--tree", tree_of), ("--sympy", symbolic)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_form_of_an_expression_and_of_its_file(
    option: str, form: Callable[[Expression], object], call: Call, tmp_path: Path
) -> None:
    expected = str(form(parse(MECO))).rstrip()
    write_export(tmp_path / "mine.py", MECO, direction=1, shape=(4, 3, 8, 8), name="mine")
    for proxy in (MECO, "mine.py"):
        printed = call("show", proxy, option)
        assert (printed.returncode, printed.stdout.rstrip()) == (0, expected)
        as_json = json.loads(call("show", proxy, option, "--json").stdout)
        assert as_json[option.removeprefix("--")].rstrip() == expected


def test_tree_is_written_to_a_file(call: Call, tmp_path: Path) -> None:
    assert call("show", MECO, "--out", "tree.svg").returncode == 0
    assert "channel_correlation" in (tmp_path / "tree.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words",
    [
        ["nwot", "--latex"],
        [MECO, "--latex", "--tree"],
        [MECO, "--out", "tree.png"],
        ["nothing", "--latex"],
    ],
)
def test_a_wrong_call_says_so_in_one_line(words: list[str], call: Call) -> None:
    printed = call("show", *words)
    assert printed.returncode == 1
    assert len(printed.stderr.strip().splitlines()) == 1


def test_run_shows_the_best_formula_of_each_size(run_folder: Path, call: Call) -> None:
    saved = RunFolder(run_folder).checkpoint()
    assert saved is not None
    front = equations(saved)
    shown = json.loads(call("show", str(run_folder), "--json").stdout)
    assert [row["formula"] for row in shown["equations"]] == [e.formula for e in front]
    printed = "".join(call("show", str(run_folder)).stdout.split())
    for equation in front:
        assert equation.formula.replace(" ", "") in printed
