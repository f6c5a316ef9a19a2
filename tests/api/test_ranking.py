"""How a ranking prints, in a terminal and in a notebook, and that it is a data frame."""

from __future__ import annotations

import copy
import pickle
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest
from torch import nn

import greenmachine
from greenmachine.api import Ranking
from tests.api.small_networks import wide

SHAPE = (2, 3, 8, 8)
LONG = "sum_layers(min_eigenvalue(channel_correlation(noise_input)))"
PROXIES = ["l2_norm", "synflow", LONG, "params", "nwot_inputs", "weight_count"]


def ranked(proxy: Any, **more: Any) -> Ranking:
    models = {"small": wide(2), "large [red]<b>&": wide(9), "x" * 70: wide(5), **more}
    return greenmachine.rank(models, proxy, shape=SHAPE)


@pytest.mark.parametrize("proxy", ["l2_norm", LONG, PROXIES[:2], PROXIES])
def test_print_has_80_columns_and_every_name_score_and_reason(proxy: Any) -> None:
    table = ranked(proxy, broken=nn.ReLU(), typo="nothing.here:factory")
    text = repr(table)
    assert max(map(len, text.splitlines())) <= 80
    assert str(table) == text and "\x1b" not in text
    joined = "".join(text.split())
    for name in (*table["name"], *(proxy if isinstance(proxy, list) else ())):
        shown = name if len(name) < 40 else name[:15]  # a long one is folded
        assert "".join(shown.split()) in joined
    for failure in filter(None, table["failure"]):
        assert "".join(failure.split()) in joined
    column = "synflow" if isinstance(proxy, list) else "score"
    assert all(f"{value:.6g}" in text for value in table[column].dropna())


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("proxy", ["l2_norm", PROXIES])
def test_html_escapes_names_and_has_all(proxy: Any) -> None:
    table = ranked(proxy, broken=nn.ReLU())
    page = table._repr_html_()
    cells = _Cells()
    cells.feed(page)
    assert "b" not in cells.tags and cells.tags.count("tr") == 1 + len(table)
    assert all(name in cells.text for name in table["name"])
    assert next(filter(None, table["failure"])) in cells.text


def test_a_ranking_is_a_data_frame() -> None:
    table = ranked("l2_norm")
    assert isinstance(table.head(2), Ranking) and len(table.head(2)) == 2
    assert "l" in repr(table.head(1)) and len(repr(table.head(1)).splitlines()) == 3
    part = table[["name", "score"]]
    assert repr(part) == repr(pd.DataFrame(part)) and part._repr_html_()
    assert isinstance(table["score"], pd.Series)
    for again in (copy.deepcopy(table), pickle.loads(pickle.dumps(table))):
        pd.testing.assert_frame_equal(again, table)
    assert repr(table.iloc[:0]) and table.iloc[:0]._repr_html_()


def test_many_networks_are_cut_in_print_alone() -> None:
    table = greenmachine.rank([wide(2)] * 100, "weight_count", shape=SHAPE)
    assert len(table) == 100
    assert len(repr(table).splitlines()) < 60 and "60 more" in repr(table)


def test_partial_coverage_is_noted() -> None:
    class Looks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.table = nn.Conv2d(3, 4, 3), nn.Parameter(wide(4).weight.detach()[:, 0])

        def forward(self, x: Any) -> Any:
            return self.conv(x).mean() + self.table.sum()

    text = repr(greenmachine.rank({"part": Looks(), "all": wide(3)}, "l2_norm", shape=SHAPE))
    assert "part: " in text and "75.0%" in text and "all: " not in text
