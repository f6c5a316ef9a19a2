"""The files of every table."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from greenmachine.errors import DataError
from greenmachine.files import read_json, sha256, write_json
from greenmachine.tables import TABLES, Stored, reproduce
from greenmachine.tables.base import COLUMNS, Drawing, long_table
from greenmachine.tables.figure import draw
from greenmachine.tables.forests import Study, fit_forests

from .conftest import no_bar


@pytest.mark.parametrize("name", TABLES)
def test_files_of_every_table(name: str, stored: Stored, tmp_path: Path) -> None:
    table = TABLES[name]
    if name == "abroad":  # its families have scores of their own: tests/tables/test_abroad.py
        with pytest.raises(DataError, match="recompute"):
            reproduce(table, stored, tmp_path / "out")
        return
    seconds = {"nats-tss": {"nwot": [0.5, 1.5]}}
    write_json(stored.folder / "cost.json", {"seconds": seconds})
    if name == "greenfactory":
        fit_forests(stored, no_bar, 1, Study(train=(40,), seeds=2, trees=2))
    made = reproduce(table, stored, tmp_path / "out")
    csv, text, figure, told = made
    assert [path.name for path in made] == [
        f"{name}.{kind}" for kind in ("csv", "md", "svg", "json")
    ]
    rows = pd.read_csv(csv)
    assert list(rows.columns)[: len(COLUMNS)] == COLUMNS
    keys = [*table.keys, "space", "dataset", "protocol", "metric"]
    assert not rows.duplicated(keys).any()
    assert (rows["mean"].notna() | rows["published"].notna() | (rows["networks"] > 0)).all()
    if name != "cost":
        assert {"(params)", "(flops)", "(convolutions)", "(sum_log_channels)"} < set(rows["proxy"])
    written = text.read_text()
    assert f"greenmachine reproduce {name}\n" in written and f"({name}.svg)" in written
    lines = [line for line in written.splitlines() if line.startswith("| `")]
    places = rows.groupby([*table.keys, "space", "dataset"], sort=False)
    assert 0 < len(lines) <= len(places)
    assert not any("nan" in line for line in lines)
    drawing = ElementTree.fromstring(figure.read_text())
    groups = [g for g in drawing.iter() if "mark-symbol role-mark" in g.get("class", "")]
    assert any(len(group) for group in groups)
    assert read_json(told)["scores"]["nats-sss-cifar10.parquet"] == sha256(
        stored.folder / "nats-sss-cifar10.parquet"
    )


def test_published_figures_stand_behind_ours(stored: Stored, tmp_path: Path) -> None:
    _, text, figure, _ = made = reproduce(TABLES["greenmachine"], stored, tmp_path)
    written = text.read_text()
    head, _, *lines = written.partition("## nats-tss, cifar100")[2].splitlines()[2:]
    heads = head.strip("| ").split(" | ")
    place = heads.index("τ live, published")
    assert heads[place - 1] == "τ live"
    cells = next(line for line in lines if "`nwot`" in line).strip("| ").split(" | ")
    assert cells[place] == "0.648" and "±" in cells[place - 1]
    assert ">published<" in figure.read_text()
    before = [path.read_bytes() for path in made[:3]]
    again = reproduce(TABLES["greenmachine"], Stored(stored.folder, print), tmp_path)
    assert [path.read_bytes() for path in again[:3]] == before


def test_figure_of_a_table_without_rows() -> None:
    table = TABLES["cost"]
    drawing = ElementTree.fromstring(draw(long_table([]), table.drawing, table.keys))
    assert table.drawing.title in "".join(drawing.itertext())


def test_rows_of_a_figure_are_ordered_by_the_first_protocol() -> None:
    def row(proxy: str, protocol: str, mean: float) -> dict[str, object]:
        return dict(zip(COLUMNS, (proxy, "s", "d", protocol, "m", mean), strict=False))

    rows = [row("low", "first", 0.1), row("low", "second", 0.9), row("only", "second", 0.5)]
    table = long_table([*rows, row("high", "first", 0.7)])
    for logarithmic, order in ((False, ["high", "only", "low"]), (True, ["low", "only", "high"])):
        drawn = draw(table, Drawing("t", "x", "m", ("first", "second"), logarithmic), ["proxy"])
        places = [drawn.index(f">{name}<") for name in order]
        assert places == sorted(places)
