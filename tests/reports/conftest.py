from __future__ import annotations

import json
import re
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, TypeAlias
from xml.etree import ElementTree

import pytest
import vl_convert

from greenmachine.evolution import Run
from greenmachine.reports.vega import CONFIG
from tests.evolution.conftest import Quiet, settings

NAME = 'a <b>bold</b> & "quoted" name'
Tree: TypeAlias = "tuple[str, list[Tree]]"
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """A page, checked for balance while it is read.

    Attributes:
        tags: how many there are of each.
        text: of the body, what a reader sees.
        attributes: every value that an attribute has.
        ids: of the sections.
        rows: cells of every row of every table.
        charts: their titles, and what they are as Vega-Lite.
        data: the tables that the charts draw, by name: a list a column.
        trees: nested lists of primitives: a name and its arguments.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.text = self.style = ""
        self.attributes: list[tuple[str, str, str]] = []
        self.ids: list[str] = []
        self.rows: list[list[str]] = []
        self.charts: list[tuple[str, Any]] = []
        self.data: dict[str, dict[str, list[Any]]] = {}
        self.trees: list[Tree] = []
        self.source = path.read_text(encoding="utf-8")
        self._open: list[tuple[str, dict[str, str]]] = []
        self._nodes: list[Tree] = []
        self.feed(self.source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.tags[tag] += 1
        self.attributes += [(tag, name, value) for name, value in known.items()]
        if tag == "section":
            self.ids.append(known["id"])
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "span" and known["class"].startswith("box"):
            node: Tree = (known["data-tip"].partition(":")[0], [])
            depth = [name for name, _ in self._open].count("li") - 1
            (self._nodes[depth - 1][1] if depth else self.trees).append(node)
            self._nodes[depth:] = [node]
        if tag not in VOID:
            self._open.append((tag, known))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        data = data.replace("\N{NO-BREAK SPACE}", " ")
        names = [name for name, _ in self._open]
        if "script" in names:
            kind = self._open[-1][1]
            if kind.get("id") == "data":
                self.data = json.loads(data)
            elif kind["type"] == "application/json" and "id" not in kind:
                self.charts.append((self._open[-2][1]["aria-label"], json.loads(data)))
        elif "style" in names:
            self.style += data
        elif "body" in names:
            self.text += data
            if {"td", "th"} & set(names):
                self.rows[-1][-1] += data

    def assert_alone(self) -> None:
        """Nothing is fetched, no attribute runs, and the file is small enough to be sent."""
        assert self.source.startswith("<!DOCTYPE html>")
        assert len(self.source.encode()) < 2_000_000
        assert not {"link", "img", "iframe", "object", "use"} & set(self.tags)
        names = {name for _, name, _ in self.attributes}
        assert not {"src", "href", "srcset", "action"} & names
        assert not [name for name in names if name.startswith("on")]
        assert not re.search(r"https?:|url\(|@import", self.style)
        policies = [value for tag, name, value in self.attributes if "default-src" in value]
        assert len(policies) == 1 and policies[0].startswith("default-src 'none';")
        # Two of data, two of code, and one for each chart: no other script got in.
        assert self.tags["script"] == 4 + len(self.charts)

    def draw(self, title: str) -> ElementTree.Element:
        """Return the first chart of that title as Vega-Lite draws it, without a browser."""
        tables = {
            name: [
                dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
            ]
            for name, columns in self.data.items()
        }
        spec = {**dict(reversed(self.charts))[title], "datasets": tables, "width": 300}
        return ElementTree.fromstring(vl_convert.vegalite_to_svg(spec, config=dict(CONFIG)))


def marks(drawing: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    """Return the drawn marks of a kind, such as ``symbol`` (a dot) or ``line``."""
    groups = [g for g in drawing.iter() if f"mark-{kind} role-mark" in g.get("class", "")]
    return [mark for group in groups for mark in group if mark.get("d") or mark.text]


@pytest.fixture(scope="package")
def runs(synthetic_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run of two data sets, and one of another seed that was stopped."""
    folder = tmp_path_factory.mktemp("reports")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GREENMACHINE_DATA", str(synthetic_folder))
        patch.setitem(sys.modules, "codecarbon", None)  # tests add the energy that they need
        small = {"population": 8, "generations": 2, "elites": 1}
        sizes = {"train": {"size": 12}, "validation": {"size": 8}, "test": {"size": 12}}
        both = settings(
            name=NAME,
            tasks=["nats-tss/cifar10", "nats-tss/cifar100"],
            samples=sizes,
            evolution=small,
        )
        Run(both, folder / "finished", [], Quiet()).execute()
        one = settings(seed=4, samples=sizes, evolution=small)
        with pytest.raises(KeyboardInterrupt):
            Run(one, folder / "stopped", [], Quiet(stop_after=1)).execute()
    return {name: folder / name for name in ("finished", "stopped")}
