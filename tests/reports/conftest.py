from __future__ import annotations

import re
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from greenmachine.evolution import Run
from tests.evolution.conftest import Quiet, settings

NAME = 'a <b>bold</b> & "quoted" name'
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """A page, checked for balance while it is read.

    Attributes:
        tags: how many there are of each.
        text: of the body, what a reader sees.
        attributes: every value that an attribute has.
        ids: of the sections.
        svgs: the drawings, parsed as XML.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.text = ""
        self.attributes: list[tuple[str, str, str]] = []
        self.ids: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self._open: list[str] = []
        self.feed(self.source)
        self.close()
        assert self._open == []
        drawings = re.findall(r"<svg.*?</svg>", self.source, flags=re.DOTALL)
        self.svgs = [ElementTree.fromstring(drawing) for drawing in drawings]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "section":
            self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "body" in self._open:
            self.text += data.replace("\N{NO-BREAK SPACE}", " ")

    def assert_alone(self) -> None:
        """Nothing is fetched and nothing runs."""
        assert self.source.startswith("<!DOCTYPE html>")
        assert not {"script", "link", "img", "iframe", "object", "use"} & set(self.tags)
        names = {name for _, name, _ in self.attributes}
        assert not {"src", "href", "srcset", "action"} & names
        assert not [name for name in names if name.startswith("on")]
        assert not re.search(r"https?:|url\(|@import", self.source)


@pytest.fixture(scope="package")
def runs(synthetic_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run of two data sets, and one of another seed that was stopped."""
    folder = tmp_path_factory.mktemp("reports")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GREENMACHINE_DATA", str(synthetic_folder))
        patch.setitem(sys.modules, "codecarbon", None)  # tests add the energy that they need
        small = {"population": 8, "generations": 2, "elites": 1}
        sizes = {"train": {"size": 12}, "validation": {"size": 8}, "test": {"size": 12}}
        both = settings(name=NAME, datasets=["cifar10", "cifar100"], samples=sizes, evolution=small)
        Run(both, folder / "finished", [], Quiet()).execute()
        one = settings(seed=4, samples=sizes, evolution=small)
        with pytest.raises(KeyboardInterrupt):
            Run(one, folder / "stopped", [], Quiet(stop_after=1)).execute()
    return {name: folder / name for name in ("finished", "stopped")}
